"""Files as the server sees them."""

from dataclasses import dataclass
from datetime import timedelta

from application.core.files.clean_orphans import CleanOrphans
from application.core.files.open_file import LinkToFile, OpenFile, SignFile
from application.core.files.ports import FilePurpose
from application.core.files.receive_files import ReceiveFiles, UploadLimits
from application.core.files.scan_files import ScanFiles
from application.core.files.take_upload import TakeUpload
from application.core.files.upload_files import BeginUpload, ConfirmUpload, EndUploads, OwnerAlone
from domain.core.files.upload import UPLOADED
from interface.bootstrap.adapters import Adapters
from interface.bootstrap.area import Area, Job
from interface.http.core.files import FileController
from interface.http.core.files_uploads import FileLinkController, UploadController


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUseCases:
    begin_upload: BeginUpload
    confirm_upload: ConfirmUpload
    link_to_file: LinkToFile
    open_file: OpenFile
    sign_file: SignFile
    take_upload: TakeUpload
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
    limits = UploadLimits(policies=adapters.policies)
    open_file = OpenFile(
        queries=adapters.file_queries,
        purposes=adapters.file_purposes,
        links=adapters.file_links,
        storage=adapters.object_storage,
        clock=adapters.clock,
    )
    end_uploads = EndUploads(queries=adapters.file_queries, storage=adapters.object_storage, clock=adapters.clock)
    return Area(
        name="files",
        use_cases=FileUseCases(
            begin_upload=BeginUpload(
                unit_of_work=adapters.files_units,
                transfers=adapters.file_transfers,
                limits=limits,
                policies=adapters.policies,
                clock=adapters.clock,
                ids=adapters.ids,
            ),
            confirm_upload=ConfirmUpload(
                unit_of_work=adapters.files_units,
                queries=adapters.file_queries,
                storage=adapters.object_storage,
                scanner=adapters.file_scanner,
                clock=adapters.clock,
                ids=adapters.ids,
            ),
            link_to_file=LinkToFile(open_file=open_file, transfers=adapters.file_transfers, clock=adapters.clock),
            open_file=open_file,
            take_upload=TakeUpload(
                queries=adapters.file_queries,
                links=adapters.upload_links,
                storage=adapters.object_storage,
                clock=adapters.clock,
            ),
            sign_file=SignFile(links=adapters.file_links, clock=adapters.clock),
            upload_limits=limits,
        ),
        controllers=(FileController, FileLinkController, UploadController),
        file_purposes=(FilePurpose(name=UPLOADED, subject=OwnerAlone()),),
        jobs=(
            Job(name="files.scan", run=scan_files, every=timedelta(minutes=1)),
            Job(name="files.end_uploads", run=end_uploads, every=timedelta(minutes=10)),
            Job(name="files.clean_orphans", run=clean_orphans, every=timedelta(hours=6)),
        ),
    )
