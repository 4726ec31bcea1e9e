"""What every store of file rows promises."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from application.core.files.ports import FileQueries, FilesUnitOfWork
from domain.core.files.file import FileState, StoredFile, storage_key
from domain.core.files.upload import FileUpload, FileUsage, UploadNotFound
from domain.core.kernel.errors import NotFound
from domain.core.kernel.ids import AccountId, FileId
from tests.fakes.core.system import NOON, SequentialIds

IDS = SequentialIds(start=5_000)
TASK, OTHER_TASK = UUID(int=0x7A5C), UUID(int=0x7A5D)

Units = Callable[[], FilesUnitOfWork]


def stored(*, subject: UUID = TASK, purpose: str = "student", state: FileState = FileState.READY) -> StoredFile:
    file_id = FileId(IDS.new())
    return StoredFile(
        id=file_id,
        owner=AccountId(UUID(int=0xADA)),
        purpose=purpose,
        subject=subject,
        key=storage_key(purpose, subject, file_id),
        name='r\u00e9sum\u00e9 "final".pdf',
        size=1234,
        sha256=bytes(range(32)),
        content_type="application/pdf",
        state=state,
        uploaded_at=NOON,
    )


def announced(*, size: int = 10, begun_at: datetime = NOON) -> FileUpload:
    upload_id, owner = FileId(IDS.new()), AccountId(UUID(int=0xADA))
    return FileUpload(
        id=upload_id,
        owner=owner,
        key=storage_key("pending", owner, upload_id),
        name="essay.pdf",
        size=size,
        content_type="application/pdf",
        begun_at=begun_at,
    )


async def claim(units: Units, *files: StoredFile) -> None:
    async with units() as uow:
        uow.files.add(*files)
        await uow.commit()


class FilesContract:
    async def test_what_was_claimed_comes_back_as_it_was(self, unit_of_work: Units, queries: FileQueries) -> None:
        file = stored()
        await claim(unit_of_work, replace(file))
        assert await queries.find(file.id) == file
        async with unit_of_work() as uow:
            assert await uow.files.get(file.id) == file

    async def test_files_without_commit_are_not_claimed(self, unit_of_work: Units, queries: FileQueries) -> None:
        file = stored()
        async with unit_of_work() as uow:
            uow.files.add(file)
        assert await queries.find(file.id) is None
        assert await queries.claimed([file.key]) == set()
        async with unit_of_work() as uow:
            with pytest.raises(NotFound):
                await uow.files.get(file.id)

    async def test_a_subject_has_its_own_files_oldest_first(self, unit_of_work: Units) -> None:
        one, two, other, submitted = stored(), stored(), stored(subject=OTHER_TASK), stored(purpose="writer")
        await claim(unit_of_work, two, one, other, submitted)
        async with unit_of_work() as uow:
            assert [file.id for file in await uow.files.of_subject("student", TASK)] == [one.id, two.id]
            assert await uow.files.of_subject("student", UUID(int=404)) == []

    async def test_a_removed_file_is_claimed_no_more(self, unit_of_work: Units, queries: FileQueries) -> None:
        kept, removed = stored(), stored()
        await claim(unit_of_work, kept, removed)
        async with unit_of_work() as uow:
            uow.files.remove(await uow.files.get(removed.id))
        assert await queries.claimed([kept.key, removed.key, "student/none"]) == {kept.key, removed.key}
        async with unit_of_work() as uow:
            uow.files.remove(await uow.files.get(removed.id))
            await uow.commit()
        assert await queries.claimed([kept.key, removed.key]) == {kept.key}

    async def test_a_state_is_saved_by_the_commit_alone(self, unit_of_work: Units, queries: FileQueries) -> None:
        file = stored(state=FileState.RECEIVED)
        await claim(unit_of_work, replace(file))
        async with unit_of_work() as uow:
            (await uow.files.get(file.id)).settle(is_clean=True)
        assert (await queries.find(file.id)) == file
        async with unit_of_work() as uow:
            (await uow.files.get(file.id)).settle(is_clean=False)
            await uow.commit()
        assert await queries.find(file.id) == replace(file, state=FileState.QUARANTINED)

    async def test_what_is_received_waits_for_the_scanner(self, unit_of_work: Units, queries: FileQueries) -> None:
        waiting = [stored(state=FileState.RECEIVED) for _ in range(3)]
        await claim(unit_of_work, *waiting, stored())
        found = await queries.to_scan(now=NOON, limit=2)
        assert [file.id for file in found] == [file.id for file in waiting[:2]]
        later = NOON + timedelta(minutes=5)
        await queries.set_aside(waiting[0].id, until=later)
        assert [file.id for file in await queries.to_scan(now=NOON, limit=5)] == [file.id for file in waiting[1:]]
        assert len(await queries.to_scan(now=later, limit=5)) == 3

    async def test_an_upload_is_found_until_it_is_removed(self, unit_of_work: Units, queries: FileQueries) -> None:
        upload = announced()
        async with unit_of_work() as uow:
            uow.uploads.add(upload)
            await uow.commit()
        assert await queries.find_upload(upload.id) == upload
        async with unit_of_work() as uow:
            assert await uow.uploads.get(upload.id) == upload
            uow.uploads.remove(upload)
        assert await queries.find_upload(upload.id) == upload
        async with unit_of_work() as uow:
            uow.uploads.remove(await uow.uploads.get(upload.id))
            await uow.commit()
        assert await queries.find_upload(upload.id) is None
        async with unit_of_work() as uow:
            with pytest.raises(UploadNotFound):
                await uow.uploads.get(upload.id)

    async def test_usage_is_what_is_kept_and_announced(self, unit_of_work: Units) -> None:
        ben = AccountId(UUID(int=0xBE4))
        kept, given_up = stored(), stored()
        await claim(unit_of_work, kept, given_up, replace(stored(), owner=ben))
        async with unit_of_work() as uow:
            uow.uploads.add(announced(size=100))
            uow.uploads.add(announced(size=20))
            await uow.commit()
        async with unit_of_work() as uow:
            assert await uow.files.usage_of(kept.owner) == FileUsage(2 * 1234 + 120, 2)
            assert await uow.files.usage_of(ben) == FileUsage(1234, 0)
            assert await uow.files.usage_of(AccountId(UUID(int=404))) == FileUsage(0, 0)
            uow.files.remove(await uow.files.get(given_up.id))
            assert await uow.files.usage_of(kept.owner) == FileUsage(1234 + 120, 2)

    async def test_two_count_one_account_one_after_the_other(self, unit_of_work: Units) -> None:
        seen: list[int] = []

        async def add_one() -> None:
            async with unit_of_work() as uow:
                seen.append((await uow.files.usage_of(AccountId(UUID(int=0xADA)))).bytes_kept)
                uow.files.add(stored())
                await uow.commit()

        await asyncio.gather(*(add_one() for _ in range(5)))
        assert sorted(seen) == [1234 * number for number in range(5)]

    async def test_an_attached_file_belongs_to_its_subject(self, unit_of_work: Units, queries: FileQueries) -> None:
        file = stored(purpose="upload")
        await claim(unit_of_work, replace(file))
        async with unit_of_work() as uow:
            attached = await uow.files.get(file.id)
            attached.purpose, attached.subject = "student", OTHER_TASK
            await uow.commit()
        assert await queries.find(file.id) == replace(file, purpose="student", subject=OTHER_TASK)

    async def test_what_ended_is_given_up_and_the_rest_stays(self, unit_of_work: Units, queries: FileQueries) -> None:
        old, older, young = (announced(begun_at=NOON - timedelta(minutes=age)) for age in (60, 61, 59))
        loose, attached = stored(purpose="upload"), stored()
        later = replace(stored(purpose="upload"), uploaded_at=NOON + timedelta(seconds=1))
        await claim(unit_of_work, loose, attached, later)
        async with unit_of_work() as uow:
            for upload in (old, older, young):
                uow.uploads.add(upload)
            await uow.commit()
        hour_ago = NOON - timedelta(hours=1)
        ended = [*await queries.end_uploads(begun_before=hour_ago, limit=1)]
        ended += await queries.end_uploads(begun_before=hour_ago, limit=5)
        assert sorted(ended) == sorted((old.key, older.key))
        assert await queries.find_upload(young.id) == young
        assert await queries.give_up_unattached(uploaded_before=NOON, limit=5) == [loose.key]
        assert await queries.claimed([loose.key, attached.key, later.key]) == {attached.key, later.key}
