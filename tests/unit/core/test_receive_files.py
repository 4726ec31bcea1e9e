"""Files on their way in: limits, names, types, and what stays behind when something is refused."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest

from application.core.files.clean_orphans import CleanOrphans
from application.core.files.ports import FilePurpose, FilePurposes
from application.core.files.receive_files import IncomingFile, ReceiveFiles, UploadLimits
from application.core.files.scan_files import ScanFiles
from domain.core.files.file import (
    ContentTypeRefused,
    EmptyFile,
    ExtensionRefused,
    FileRequired,
    FileState,
    FileTooLarge,
    StoredFile,
)
from domain.core.files.policies import EXTENSIONS, FILE_COUNT_MAX, FILE_SIZE_MAX, MEGABYTE, REQUEST_SIZE_MAX
from domain.core.kernel.errors import Unavailable
from domain.core.kernel.ids import AccountId
from domain.core.kernel.policies import PolicyValueRefused
from infrastructure.local.trusting_scanner import TrustingScanner
from tests.fakes.core.files import InMemoryFileQueries, ListedViewers, WordScanner
from tests.fakes.core.object_storage import InMemoryObjectStorage
from tests.fakes.core.policies import DefaultPolicies
from tests.fakes.core.store import InMemoryStore
from tests.fakes.core.system import FixedClock, SequentialIds

TASK = UUID(int=0x7A5C)
ADA = AccountId(UUID(int=0xADA))
IMAGES = frozenset({"image/png", "image/jpeg"})
PNG = b"\x89PNG\r\n\x1a\n rest"


def upload(content: bytes = b"%PDF-1.7 essay", name: str = "essay.pdf") -> IncomingFile:
    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(content), 65_536):
            yield content[at : at + 65_536]

    return IncomingFile(name, chunks())


class FilesBench:
    """Files without a server: the use cases over fakes."""

    def __init__(self, scanner: TrustingScanner | WordScanner) -> None:
        self.clock = FixedClock()
        self.store = InMemoryStore(clock=self.clock)
        self.storage = InMemoryObjectStorage(self.clock)
        self.queries = InMemoryFileQueries(self.store)
        self.policies = DefaultPolicies()
        self.scanner = scanner
        viewers = ListedViewers()
        self.receive = ReceiveFiles(
            storage=self.storage,
            scanner=scanner,
            purposes=FilePurposes(
                FilePurpose(name="student", subject=viewers),
                FilePurpose(name="profile", subject=viewers, content_types=IMAGES, is_public=True),
            ),
            limits=UploadLimits(policies=self.policies),
            policies=self.policies,
            clock=self.clock,
            ids=SequentialIds(),
        )
        self.scan = ScanFiles(
            unit_of_work=self.store.unit_of_work,
            queries=self.queries,
            storage=self.storage,
            scanner=scanner,
            clock=self.clock,
        )
        self.clean = CleanOrphans(queries=self.queries, storage=self.storage, clock=self.clock)

    async def __call__(self, *uploads: IncomingFile, purpose: str = "student") -> tuple[StoredFile, ...]:
        return await self.receive(uploads, purpose=purpose, subject=TASK, owner=ADA)

    async def claim(self, *uploads: IncomingFile) -> tuple[StoredFile, ...]:
        files = await self(*uploads)
        async with self.store.unit_of_work() as uow:
            uow.files.add(*files)
            await uow.commit()
        return files

    async def keys(self) -> set[str]:
        return {key async for key in self.storage.keys(older_than=self.clock.now() + timedelta(seconds=1))}


@pytest.fixture
def files() -> FilesBench:
    return FilesBench(TrustingScanner())


async def test_a_file_is_kept_under_an_id_with_its_name_as_text_only(files: FilesBench) -> None:
    [file] = await files(upload(name="../../etc/pass\u202ewd\r\n.pdf"))
    assert (file.key, file.name) == (f"student/{TASK}/{file.id}", "passwd.pdf")
    assert (file.size, file.content_type, file.state) == (14, "application/pdf", FileState.READY)
    assert await files.keys() == {file.key}


async def test_the_type_is_what_the_content_shows(files: FilesBench) -> None:
    [file] = await files(upload(PNG, "essay.pdf"), purpose="profile")
    assert file.content_type == "image/png"


async def test_a_purpose_may_narrow_the_types(files: FilesBench) -> None:
    with pytest.raises(ContentTypeRefused):
        await files(upload(PNG, "a.png"), upload(b"%PDF-1.7", "b.png"), purpose="profile")
    assert await files.keys() == set()


async def test_files_over_a_limit_are_refused_and_nothing_stays(files: FilesBench) -> None:
    files.policies.set(FILE_SIZE_MAX, 1)
    files.policies.set(REQUEST_SIZE_MAX, 2)
    files.policies.set(FILE_COUNT_MAX, 3)
    full = b"x" * MEGABYTE
    assert len(await files(upload(full), upload(full))) == 2
    kept = await files.keys()
    for uploads in (
        [upload(), upload(full + b"x")],
        [upload(full), upload(full), upload(b"x")],
        [upload(b"x") for _ in range(4)],
    ):
        with pytest.raises(FileTooLarge):
            await files(*uploads)
    assert await files.keys() == kept


async def test_an_empty_file_is_refused_and_nothing_stays(files: FilesBench) -> None:
    with pytest.raises(EmptyFile):
        await files(upload(), upload(b""))
    assert await files.keys() == set()


async def test_endings_are_accepted_as_the_policy_says(files: FilesBench) -> None:
    files.policies.set(EXTENSIONS, EXTENSIONS.parse(" .PDF, docx"))
    assert len(await files(upload(name="a.Pdf"), upload(name="b.docx"))) == 2
    for name in ("a.exe", "pdf", "a.pdf.exe", "a."):
        with pytest.raises(ExtensionRefused):
            await files(upload(name=name))
    for value in ("", "pdf,,", "p d f", "../x"):
        with pytest.raises(PolicyValueRefused):
            EXTENSIONS.parse(value)


async def test_a_refused_transaction_discards_its_files_and_an_unknown_one_keeps_them(files: FilesBench) -> None:
    for refusal, stays in ((FileRequired(), False), (Unavailable(), True), (RuntimeError(), True)):
        with pytest.raises(type(refusal)):
            async with files.receive.claimed_inside([upload()], purpose="student", subject=TASK, owner=ADA):
                raise refusal
        assert (await files.keys() != set()) is stays


async def test_what_no_row_claims_goes_after_a_day(files: FilesBench) -> None:
    claimed = await files.claim(upload(), upload())
    lost = await files(upload(), upload(), upload())
    files.clock.advance(timedelta(hours=24))
    assert await files.clean(200) == 0
    files.clock.advance(timedelta(seconds=1))
    [young] = await files(upload())
    assert await files.clean(2) == 2
    assert await files.clean(200) == 1
    assert await files.clean(200) == 0
    assert await files.keys() == {file.key for file in (*claimed, young)}
    assert len(lost) == 3


async def test_a_removed_file_loses_its_bytes_with_the_next_sweep(files: FilesBench) -> None:
    kept, removed = await files.claim(upload(), upload())
    async with files.store.unit_of_work() as uow:
        uow.files.remove(await uow.files.get(removed.id))
        await uow.commit()
    files.clock.advance(timedelta(days=2))
    assert await files.clean(200) == 1
    assert await files.keys() == {kept.key}


async def test_a_scanner_decides_before_a_file_is_shown() -> None:
    scanner = WordScanner()
    files = FilesBench(scanner)
    clean, bad = await files.claim(upload(), upload(b"xx EICAR xx"))
    assert {clean.state, bad.state} == {FileState.RECEIVED}
    assert await files.scan(200) == 2
    states = [(await files.queries.find(file.id)).state for file in (clean, bad)]  # type: ignore[union-attr]
    assert states == [FileState.READY, FileState.QUARANTINED]
    assert await files.scan(200) == 0


async def test_a_file_that_the_scanner_fails_on_does_not_stop_the_rest() -> None:
    scanner = WordScanner()
    files = FilesBench(scanner)
    lost, good = await files.claim(upload(), upload())
    await files.storage.delete(lost.key)
    assert await files.scan(200) == 2
    found = await files.queries.find(good.id)
    assert found is not None
    assert found.state is FileState.READY
    assert await files.scan(200) == 0
    scanner.is_down = True
    [late] = await files.claim(upload())
    assert await files.scan(200) == 1
    scanner.is_down = False
    assert await files.scan(200) == 0
    files.clock.advance(timedelta(minutes=5))
    assert await files.scan(200) == 2
    found = await files.queries.find(late.id)
    assert found is not None
    assert found.state is FileState.READY
