"""Files as the server sees them."""

from dataclasses import dataclass
from datetime import time, timedelta

from application.core.files.clean_orphans import CleanOrphans
from application.core.files.open_file import OpenFile, SignFile
from application.core.files.receive_files import ReceiveFiles, UploadLimits
from application.core.files.scan_files import ScanFiles
from interface.bootstrap.adapters import Adapters
from interface.bootstrap.area import Area, Job
from interface.http.core.files import FileController


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUseCases:
    open_file: OpenFile
    sign_file: SignFile
    upload_limits: UploadLimits


def receive_files_of(adapters: Adapters) -> ReceiveFiles:
    """Return the use case with which verticals receive files; they name their purposes in their `Area`."""
    return ReceiveFiles(
        storage=adapters.object_storage,
        scanner=adapters.file_scanner,
        purposes=adapters.file_purposes,
        limits=UploadLimits(policies=adapters.policies),
        policies=adapters.policies,
        clock=adapters.clock,
        ids=adapters.ids,
    )


def files_area(adapters: Adapters) -> Area:
    """Wire files."""
    scan_files = ScanFiles(
        unit_of_work=adapters.files_units,
        queries=adapters.file_queries,
        storage=adapters.object_storage,
        scanner=adapters.file_scanner,
        clock=adapters.clock,
    )
    clean_orphans = CleanOrphans(queries=adapters.file_queries, storage=adapters.object_storage, clock=adapters.clock)
    return Area(
        name="files",
        use_cases=FileUseCases(
            open_file=OpenFile(
                queries=adapters.file_queries,
                purposes=adapters.file_purposes,
                links=adapters.file_links,
                storage=adapters.object_storage,
                clock=adapters.clock,
            ),
            sign_file=SignFile(links=adapters.file_links, clock=adapters.clock),
            upload_limits=UploadLimits(policies=adapters.policies),
        ),
        controllers=(FileController,),
        jobs=(
            Job(name="files.scan", run=scan_files, every=timedelta(minutes=1)),
            Job(name="files.clean_orphans", run=clean_orphans, daily_at=time(3)),
        ),
    )
