"""Who may open a file."""

from datetime import timedelta
from uuid import UUID

import pytest

from application.core.files.links import LINK_LIFE, SignedLink
from application.core.files.open_file import OpenFile, SignFile
from application.core.files.ports import FilePurpose, FilePurposes
from application.core.identity.authenticate import Caller
from domain.core.files.file import FileNotReady, FileState, StoredFile
from domain.core.kernel.errors import NotFound, NotSignedIn
from domain.core.kernel.ids import AccountId, FileId
from tests.contract.core.files import TASK, claim, stored
from tests.fakes.core.file_links import PlainFileLinks
from tests.fakes.core.files import InMemoryFileQueries, ListedViewers
from tests.fakes.core.object_storage import InMemoryObjectStorage
from tests.fakes.core.store import InMemoryStore
from tests.fakes.core.system import FixedClock

ADA, BEN = AccountId(UUID(int=0xADA)), AccountId(UUID(int=0xBE))
NOBODY = FileId(UUID(int=404))


def caller(account: AccountId, *roles: str) -> Caller:
    return Caller(account, UUID(int=7), frozenset(roles))


class Door:
    def __init__(self) -> None:
        self.clock = FixedClock()
        self.store = InMemoryStore(clock=self.clock)
        self.viewers = ListedViewers()
        self.viewers.let(ADA, TASK)
        self.links = PlainFileLinks()
        self.sign = SignFile(links=self.links, clock=self.clock)
        self.open = OpenFile(
            queries=InMemoryFileQueries(self.store),
            purposes=FilePurposes(
                FilePurpose(name="student", subject=self.viewers),
                FilePurpose(name="ad", subject=self.viewers, is_public=True),
            ),
            links=self.links,
            storage=InMemoryObjectStorage(self.clock),
            clock=self.clock,
        )

    async def put(self, state: FileState = FileState.READY, purpose: str = "student") -> StoredFile:
        file = stored(state=state, purpose=purpose)
        await claim(self.store.unit_of_work, file)
        return file


@pytest.fixture
def door() -> Door:
    return Door()


async def test_whoever_may_see_the_subject_may_open_its_files(door: Door) -> None:
    file = await door.put()
    assert (await door.open(file.id, caller=caller(ADA), link=None)).id == file.id
    assert (await door.open(file.id, caller=caller(BEN, "admin"), link=None)).id == file.id


async def test_for_everybody_else_the_file_does_not_exist(door: Door) -> None:
    file = await door.put()
    for file_id in (file.id, NOBODY):
        with pytest.raises(NotFound):
            await door.open(file_id, caller=caller(BEN, "student"), link=None)
        with pytest.raises(NotSignedIn):
            await door.open(file_id, caller=None, link=None)


async def test_a_signed_link_opens_one_file_until_it_ends(door: Door) -> None:
    file, other = await door.put(), await door.put()
    link = door.sign(file.id)
    assert (await door.open(file.id, caller=None, link=link)).id == file.id
    assert (await door.open(file.id, caller=caller(BEN), link=link)).id == file.id
    for file_id, forged in (
        (other.id, link),
        (file.id, SignedLink(link.expires + 60, link.signature)),
        (file.id, SignedLink(link.expires, "forged")),
    ):
        with pytest.raises(NotSignedIn):
            await door.open(file_id, caller=None, link=forged)
        with pytest.raises(NotFound):
            await door.open(file_id, caller=caller(BEN), link=forged)
    door.clock.advance(LINK_LIFE - timedelta(seconds=1))
    await door.open(file.id, caller=None, link=link)
    door.clock.advance(timedelta(seconds=1))
    with pytest.raises(NotSignedIn):
        await door.open(file.id, caller=None, link=link)


async def test_a_bad_link_does_not_take_away_what_the_caller_may(door: Door) -> None:
    file = await door.put()
    assert (await door.open(file.id, caller=caller(ADA), link=SignedLink(1, "old"))).id == file.id


async def test_a_link_to_a_removed_file_opens_nothing(door: Door) -> None:
    file = await door.put()
    link = door.sign(file.id)
    async with door.store.unit_of_work() as uow:
        uow.files.remove(await uow.files.get(file.id))
        await uow.commit()
    with pytest.raises(NotFound):
        await door.open(file.id, caller=None, link=link)


@pytest.mark.parametrize("state", [FileState.RECEIVED, FileState.QUARANTINED])
async def test_only_a_ready_file_is_served_and_only_its_readers_learn_why(door: Door, state: FileState) -> None:
    file = await door.put(state)
    for reader, link in ((caller(ADA), None), (None, door.sign(file.id))):
        with pytest.raises(FileNotReady):
            await door.open(file.id, caller=reader, link=link)
    with pytest.raises(NotFound):
        await door.open(file.id, caller=caller(BEN), link=None)


async def test_public_images_are_for_everybody_and_a_purpose_that_is_gone_for_administrators(door: Door) -> None:
    image, orphan = await door.put(purpose="ad"), await door.put(purpose="former")
    assert (await door.open(image.id, caller=None, link=None)).id == image.id
    with pytest.raises(NotFound):
        await door.open(orphan.id, caller=caller(ADA), link=None)
    assert (await door.open(orphan.id, caller=caller(BEN, "admin"), link=None)).id == orphan.id
