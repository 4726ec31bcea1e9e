"""Notices, preferences and the mail queue in memory, and a mailer that keeps what it was given."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from application.core.kernel.mail import Mail
from application.core.kernel.ports import Clock, Delivery, IdSource, Listing, Page
from application.core.kernel.realtime import person_topic
from application.core.notifications.deliver_mails import WaitingMail
from application.core.notifications.queries import NoticeFilter, NoticeView, Place
from domain.core.kernel.errors import FieldError, Invalid, NotFound
from domain.core.kernel.ids import AccountId
from domain.core.notifications.notice import Category, Channels, Notice, default_channels
from tests.fakes.core.ledger import Tables

if TYPE_CHECKING:
    from tests.fakes.core.store import InMemoryStore


class NumberedTables(Tables, Protocol):
    """What the notices need of their unit of work."""

    @property
    def clock(self) -> Clock: ...

    @property
    def store(self) -> InMemoryStore: ...

    def wake(self, *topics: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredNotice:
    """A row of notices."""

    recipient: AccountId
    event_id: UUID
    view: NoticeView


@dataclass(slots=True, kw_only=True)
class QueuedMail:
    """A row of the mail queue."""

    mail: WaitingMail
    due_at: datetime
    error: str | None = None
    sent_at: datetime | None = None
    dead_at: datetime | None = None


class InMemoryNotices:
    """The notices of one unit of work; numbered when it commits."""

    def __init__(self, unit_of_work: NumberedTables) -> None:
        self._clock = unit_of_work.clock
        self._ids: IdSource = unit_of_work.store.ids
        self._notices = unit_of_work.table("notices")
        self._preferences = unit_of_work.table("notification_preferences")
        self._mails = unit_of_work.table("mail_queue")
        self._wake = unit_of_work.wake
        self._added: list[tuple[Delivery, Notice]] = []
        unit_of_work.at_commit(self._write)

    def add(self, delivery: Delivery, *told: Notice) -> None:
        self._added += [(delivery, notice) for notice in told]
        self._wake(*(person_topic(notice.recipient) for notice in told))

    async def mark_read(self, recipient: AccountId, notice_id: UUID) -> int:
        row = self._notices.get(notice_id)
        if row is None or row.recipient != recipient:
            raise NotFound
        self._read(row)
        return self._unread(recipient)

    async def mark_all_read(self, recipient: AccountId) -> int:
        for row in list(self._notices.values()):
            if row.recipient == recipient:
                self._read(row)
        return self._unread(recipient)

    def _read(self, row: StoredNotice) -> None:
        if row.view.read_at is None:
            self._notices[row.view.id] = replace(row, view=replace(row.view, read_at=self._clock.now()))

    def _unread(self, recipient: AccountId) -> int:
        return sum(row.recipient == recipient and row.view.read_at is None for row in self._notices.values())

    def _write(self) -> None:
        for delivery, notice in self._added:
            rows = list(self._notices.values())
            if any((row.event_id, row.recipient) == (delivery.event_id, notice.recipient) for row in rows):
                continue
            channels = self._preferences.get((notice.recipient, notice.category), default_channels(notice.category))
            now, notice_id = self._clock.now(), self._ids.new()
            view = NoticeView(
                id=notice_id,
                seq=1 + sum(row.recipient == notice.recipient for row in rows),
                category=notice.category,
                title=notice.title,
                message=notice.message,
                link=notice.link,
                metadata=notice.metadata,
                frame=notice.frame,
                is_mailed=notice.goes_by_mail(channels),
                created_at=now,
                read_at=None,
            )
            self._notices[notice_id] = StoredNotice(recipient=notice.recipient, event_id=delivery.event_id, view=view)
            if view.is_mailed:
                mail = WaitingMail(
                    id=self._ids.new(),
                    message_id=f"notice-{notice_id}",
                    recipient=notice.recipient,
                    to=None,
                    subject=notice.title,
                    text=notice.message,
                    attempt=0,
                )
                self._mails[mail.message_id] = QueuedMail(mail=mail, due_at=now)
        self._added.clear()


class InMemoryPreferences:
    """The channels that people chose."""

    def __init__(self, unit_of_work: Tables) -> None:
        self._chosen = unit_of_work.table("notification_preferences")

    async def of(self, account_id: AccountId) -> Mapping[Category, Channels]:
        return {category: self._chosen.get((account_id, category), default_channels(category)) for category in Category}

    def choose(self, account_id: AccountId, chosen: Mapping[Category, Channels]) -> None:
        for category, channels in chosen.items():
            self._chosen[account_id, category] = channels


class InMemoryMails:
    """Mails queued by one unit of work."""

    def __init__(self, unit_of_work: NumberedTables) -> None:
        self._now = unit_of_work.clock.now()
        self._ids: IdSource = unit_of_work.store.ids
        self._mails = unit_of_work.table("mail_queue")

    def add(self, mail: Mail) -> None:
        if mail.message_id not in self._mails:
            waiting = WaitingMail(
                id=self._ids.new(),
                message_id=mail.message_id,
                recipient=None,
                to=mail.to,
                subject=mail.subject,
                text=mail.text,
                attempt=0,
            )
            self._mails[mail.message_id] = QueuedMail(mail=waiting, due_at=self._now)


class InMemoryWaitingMails:
    """The committed queue as its sender sees it."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    @property
    def _rows(self) -> Mapping[object, QueuedMail]:
        return self._store.tables["mail_queue"]

    async def take(self, *, now: datetime, leased_until: datetime, limit: int) -> Sequence[WaitingMail]:
        due = [row for row in self._rows.values() if row.due_at <= now and row.sent_at is None and row.dead_at is None]
        taken = sorted(due, key=lambda row: (row.due_at, row.mail.id.int))[:limit]
        for row in taken:
            row.mail = replace(row.mail, attempt=row.mail.attempt + 1)
            row.due_at = leased_until
        return sorted((row.mail for row in taken), key=lambda mail: mail.id.int)

    async def sent(self, mail: WaitingMail, *, now: datetime) -> None:
        row = self._rows[mail.message_id]
        if row.sent_at is None and row.dead_at is None:
            row.sent_at, row.error = now, None
            row.mail = replace(row.mail, to=None, subject="", text="")

    async def try_again(self, mail: WaitingMail, *, at: datetime, error: str) -> None:
        row = self._rows[mail.message_id]
        if self._is_mine(row, mail):
            row.due_at, row.error = at, error

    async def give_up(self, mail: WaitingMail, *, now: datetime, error: str) -> None:
        row = self._rows[mail.message_id]
        if self._is_mine(row, mail):
            row.dead_at, row.error = now, error
            row.mail = replace(row.mail, to=None, subject="", text="")

    def _is_mine(self, row: QueuedMail, mail: WaitingMail) -> bool:
        return row.sent_at is None and row.dead_at is None and row.mail.attempt == mail.attempt


class InMemoryNoticeQueries:
    """Reads of what is committed. Cursors are the ids of the edges, in words."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    async def list_of(self, recipient: AccountId, wanted: NoticeFilter, page: Page) -> Listing[NoticeView]:
        found = [
            row.view
            for row in self._store.rows("notices").values()
            if row.recipient == recipient
            and (not wanted.only_unread or row.view.read_at is None)
            and wanted.category in {None, row.view.category}
            and row.view.seq > wanted.after
        ]
        found.sort(key=lambda view: view.seq, reverse=True)
        start = 0
        if page.cursor is not None:
            places = {str(view.id): place for place, view in enumerate(found)}
            if page.cursor not in places:
                raise Invalid(errors=(FieldError("cursor", "is not a cursor of this list"),))
            start = places[page.cursor]
        end = start + page.limit
        return Listing(
            found[start:end],
            next=str(found[end].id) if len(found) > end else None,
            previous=str(found[max(0, start - page.limit)].id) if start else None,
        )

    async def last_numbers(self, people: Collection[AccountId]) -> Mapping[AccountId, int]:
        numbers = dict.fromkeys(people, 0)
        for row in self._store.rows("notices").values():
            if row.recipient in numbers:
                numbers[row.recipient] = max(numbers[row.recipient], row.view.seq)
        return numbers

    async def following(self, places: Collection[Place], *, each_max: int) -> Mapping[Place, Sequence[NoticeView]]:
        rows = sorted(self._store.rows("notices").values(), key=lambda row: row.view.seq)
        found = {
            place: [row.view for row in rows if row.recipient == place.person and row.view.seq > place.after]
            for place in places
        }
        return {place: views[:each_max] for place, views in found.items() if views}

    async def channels_of(self, account_id: AccountId) -> Mapping[Category, Channels]:
        chosen = self._store.rows("notification_preferences")
        return {category: chosen.get((account_id, category), default_channels(category)) for category in Category}


class KnownAddresses:
    """Verified addresses that a test writes down."""

    def __init__(self, addresses: Mapping[AccountId, str] | None = None) -> None:
        self.addresses = dict(addresses or {})

    async def verified(self, people: Collection[AccountId]) -> Mapping[AccountId, str]:
        return {account: self.addresses[account] for account in people if account in self.addresses}
