"""Notices, preferences and the mail queue on PostgreSQL."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import asyncpg
import msgspec
from sqlalchemy import ARRAY, Boolean, Integer, bindparam, func, null, or_, select, text, update

from application.core.kernel.mail import Mail
from application.core.kernel.ports import Delivery, Listing, Page
from application.core.kernel.realtime import person_topic
from application.core.notifications.deliver_mails import WaitingMail
from application.core.notifications.queries import NoticeFilter, NoticeView, Place
from domain.core.kernel.errors import NotFound
from domain.core.kernel.ids import AccountId
from domain.core.notifications.notice import Category, Channels, Frame, Notice, default_channels
from infrastructure.postgres.core.identity_tables import accounts
from infrastructure.postgres.core.notifications_tables import (
    mail_queue,
    notice_counters,
    notices,
    notification_preferences,
)
from infrastructure.postgres.database import Database
from infrastructure.postgres.keyset import KeysetList, SortKey
from infrastructure.postgres.statements import Statement, WriteBatch
from infrastructure.postgres.tables import BIGINT, INSTANT, TEXT, UUID
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork

# The counters are upserted in sorted order, so that two transactions that tell the same people never wait for each
# other. The row stays locked until the commit: numbers are gap-free, and whoever sees a number sees all before it.
_ADD_NOTICES = Statement(
    text(
        "WITH wanted AS MATERIALIZED ("
        "  SELECT w.*, row_number() OVER (PARTITION BY w.recipient ORDER BY w.id) AS nth,"
        "    w.may_mail AND (w.must_mail OR coalesce(p.email, w.mail_default)) AS is_mailed"
        "  FROM unnest(:ids, :event_ids, :recipients, :categories, :titles, :messages, :links, :metadata,"
        "    :socket_events, :may_mail, :must_mail, :mail_defaults, :mail_ids)"
        "    AS w(id, event_id, recipient, category, title, message, link, metadata,"
        "      socket_event, may_mail, must_mail, mail_default, mail_id)"
        "  LEFT JOIN notification_preferences AS p ON p.account_id = w.recipient AND p.category = w.category"
        "  WHERE NOT EXISTS (SELECT FROM notices AS n WHERE n.event_id = w.event_id AND n.recipient = w.recipient)"
        "), counters AS ("
        "  INSERT INTO notice_counters AS c (account_id, last_seq)"
        "  SELECT recipient, count(*) FROM wanted GROUP BY recipient ORDER BY recipient"
        "  ON CONFLICT (account_id) DO UPDATE SET last_seq = c.last_seq + excluded.last_seq"
        "  RETURNING account_id, last_seq"
        "), counts AS ("
        "  SELECT recipient, count(*) AS added FROM wanted GROUP BY recipient"
        "), mails AS ("
        "  INSERT INTO mail_queue (id, message_id, recipient, subject, text, due_at, created_at)"
        "  SELECT mail_id, 'notice-' || id, recipient, title, message, :now, :now FROM wanted WHERE is_mailed"
        ") INSERT INTO notices (id, recipient, seq, event_id, category, title, message, link, metadata, socket_event,"
        "    is_mailed, created_at)"
        "  SELECT w.id, w.recipient, c.last_seq - n.added + w.nth, w.event_id, w.category, w.title, w.message, w.link,"
        "    w.metadata::jsonb, w.socket_event, w.is_mailed, :now"
        "  FROM wanted AS w JOIN counters AS c ON c.account_id = w.recipient"
        "  JOIN counts AS n ON n.recipient = w.recipient"
    ).bindparams(
        bindparam("ids", type_=ARRAY(UUID)),
        bindparam("event_ids", type_=ARRAY(UUID)),
        bindparam("recipients", type_=ARRAY(UUID)),
        bindparam("categories", type_=ARRAY(TEXT)),
        bindparam("titles", type_=ARRAY(TEXT)),
        bindparam("messages", type_=ARRAY(TEXT)),
        bindparam("links", type_=ARRAY(TEXT)),
        bindparam("metadata", type_=ARRAY(TEXT)),
        bindparam("socket_events", type_=ARRAY(TEXT)),
        bindparam("may_mail", type_=ARRAY(Boolean)),
        bindparam("must_mail", type_=ARRAY(Boolean)),
        bindparam("mail_defaults", type_=ARRAY(Boolean)),
        bindparam("mail_ids", type_=ARRAY(UUID)),
        bindparam("now", type_=INSTANT),
    )
)
_MARK_READ = Statement(
    update(notices)
    .where(notices.c.id == bindparam("wanted_id"), notices.c.recipient == bindparam("reader"))
    .values(read_at=func.coalesce(notices.c.read_at, bindparam("now", type_=INSTANT)))
    .returning(notices.c.id)
)
_MARK_ALL_READ = Statement(
    update(notices)
    .where(notices.c.recipient == bindparam("reader"), notices.c.read_at.is_(None))
    .values(read_at=bindparam("now"))
)
_UNREAD = Statement(select(func.count()).where(notices.c.recipient == bindparam("reader"), notices.c.read_at.is_(None)))
_PREFERENCES = Statement(
    select(notification_preferences.c.category, notification_preferences.c.email, notification_preferences.c.sms).where(
        notification_preferences.c.account_id == bindparam("wanted_account")
    )
)
_CHOOSE = Statement(
    text(
        "INSERT INTO notification_preferences (account_id, category, email, sms, changed_at)"
        " SELECT :account_id, w.category, w.email, w.sms, :now"
        " FROM unnest(:categories, :emails, :sms) AS w(category, email, sms) ORDER BY w.category"
        " ON CONFLICT (account_id, category)"
        " DO UPDATE SET email = excluded.email, sms = excluded.sms, changed_at = excluded.changed_at"
    ).bindparams(
        bindparam("account_id", type_=UUID),
        bindparam("now", type_=INSTANT),
        bindparam("categories", type_=ARRAY(TEXT)),
        bindparam("emails", type_=ARRAY(Boolean)),
        bindparam("sms", type_=ARRAY(Boolean)),
    )
)
_ADD_MAILS = Statement(
    text(
        "INSERT INTO mail_queue (id, message_id, to_address, subject, text, due_at, created_at)"
        " SELECT m.id, m.message_id, m.to_address, m.subject, m.text, :now, :now"
        " FROM unnest(:ids, :message_ids, :addresses, :subjects, :texts)"
        " AS m(id, message_id, to_address, subject, text)"
        " ON CONFLICT (message_id) DO NOTHING"
    ).bindparams(
        bindparam("now", type_=INSTANT),
        bindparam("ids", type_=ARRAY(UUID)),
        bindparam("message_ids", type_=ARRAY(TEXT)),
        bindparam("addresses", type_=ARRAY(TEXT)),
        bindparam("subjects", type_=ARRAY(TEXT)),
        bindparam("texts", type_=ARRAY(TEXT)),
    )
)
_IS_OPEN = (mail_queue.c.sent_at.is_(None), mail_queue.c.dead_at.is_(None))
_TAKE = Statement(
    update(mail_queue)
    .where(
        mail_queue.c.id.in_(
            select(mail_queue.c.id)
            .where(mail_queue.c.due_at <= bindparam("now", type_=INSTANT), *_IS_OPEN)
            .order_by(mail_queue.c.due_at, mail_queue.c.id)
            .limit(bindparam("limit_rows", type_=BIGINT))
            .with_for_update(skip_locked=True)
        )
    )
    .values(due_at=bindparam("leased_until", type_=INSTANT), attempts=mail_queue.c.attempts + 1)
    .returning(
        mail_queue.c.id,
        mail_queue.c.message_id,
        mail_queue.c.recipient,
        mail_queue.c.to_address,
        mail_queue.c.subject,
        mail_queue.c.text,
        mail_queue.c.attempts,
    )
)
_FORGET = {"subject": "", "text": "", "to_address": null()}
_IS_MINE = (mail_queue.c.id == bindparam("mail_id"), mail_queue.c.attempts == bindparam("attempt", type_=Integer))
_SENT = Statement(
    # whoever sent it, it is sent: not bound to the attempt
    update(mail_queue)
    .where(mail_queue.c.id == bindparam("mail_id"), *_IS_OPEN)
    .values(sent_at=bindparam("now"), last_error=null(), **_FORGET)
)
_TRY_AGAIN = Statement(
    update(mail_queue)
    .where(*_IS_MINE, *_IS_OPEN)
    .values(due_at=bindparam("again_at", type_=INSTANT), last_error=bindparam("error"))
)
_GIVE_UP = Statement(
    update(mail_queue)
    .where(*_IS_MINE, *_IS_OPEN)
    .values(dead_at=bindparam("now"), last_error=bindparam("error"), **_FORGET)
)
_VERIFIED = Statement(
    select(accounts.c.id, accounts.c.verified_email).where(
        accounts.c.id == func.any(bindparam("wanted_accounts", type_=ARRAY(UUID))),
        accounts.c.verified_email.is_not(None),
    )
)
_LAST_NUMBERS = Statement(
    select(notice_counters.c.account_id, notice_counters.c.last_seq).where(
        notice_counters.c.account_id == func.any(bindparam("people", type_=ARRAY(UUID)))
    )
)
_FOLLOWING = Statement(
    text(
        "SELECT p.place, n.* FROM unnest(:recipients, :afters) WITH ORDINALITY AS p(recipient, after, place)"
        " CROSS JOIN LATERAL ("
        "  SELECT * FROM notices WHERE recipient = p.recipient AND seq > p.after ORDER BY seq LIMIT :each_max"
        ") AS n ORDER BY p.place, n.seq"
    ).bindparams(
        bindparam("recipients", type_=ARRAY(UUID)),
        bindparam("afters", type_=ARRAY(BIGINT)),
        bindparam("each_max", type_=BIGINT),
    )
)
_LIST = KeysetList(
    select(notices).where(
        notices.c.recipient == bindparam("reader"),
        or_(~bindparam("only_unread", type_=Boolean), notices.c.read_at.is_(None)),
        or_(bindparam("category", type_=TEXT).is_(None), notices.c.category == bindparam("category", type_=TEXT)),
        notices.c.seq > bindparam("after", type_=BIGINT),
    ),
    notices.c.id,
    # what is written while somebody turns pages stands before them all
    sorted_by=SortKey(notices.c.seq, b"s", is_unique=True),
)


class PostgresNotices:
    """What people are told, written at the end of one unit of work."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._added: dict[tuple[uuid.UUID, AccountId], Notice] = {}
        unit_of_work.attach(self)

    def add(self, delivery: Delivery, *told: Notice) -> None:
        for notice in told:
            self._added.setdefault((delivery.event_id, notice.recipient), notice)

    async def mark_read(self, recipient: AccountId, notice_id: uuid.UUID) -> int:
        connection, now = self._unit.connection, self._unit.clock.now()
        if await _MARK_READ.fetch_value(connection, wanted_id=notice_id, reader=recipient, now=now) is None:
            raise NotFound
        return int(await _UNREAD.fetch_value(connection, reader=recipient))

    async def mark_all_read(self, recipient: AccountId) -> int:
        connection = self._unit.connection
        await _MARK_ALL_READ.execute(connection, reader=recipient, now=self._unit.clock.now())
        return int(await _UNREAD.fetch_value(connection, reader=recipient))

    def stage(self, batch: WriteBatch) -> None:
        """Put the notices, their numbers and their mails into the batch."""
        if not self._added:
            return
        added, self._added = self._added, {}
        told = list(added.values())
        self._unit.wake(*(person_topic(one.recipient) for one in told))
        batch.stage_last(
            _ADD_NOTICES,
            ids=[self._unit.ids.new() for _ in told],
            event_ids=[event_id for event_id, _ in added],
            recipients=[one.recipient for one in told],
            categories=[one.category.value for one in told],
            titles=[one.title for one in told],
            messages=[one.message for one in told],
            links=[one.link for one in told],
            metadata=[msgspec.json.encode(one.metadata).decode() for one in told],
            socket_events=[one.frame.value for one in told],
            may_mail=[one.mail for one in told],
            must_mail=[one.ignores_choice_of_mail for one in told],
            mail_defaults=[default_channels(one.category).email for one in told],
            mail_ids=[self._unit.ids.new() for _ in told],
            now=self._unit.clock.now(),
        )


class PostgresPreferences:
    """The channels that people chose."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._chosen: dict[AccountId, dict[Category, Channels]] = {}
        unit_of_work.attach(self)

    async def of(self, account_id: AccountId) -> Mapping[Category, Channels]:
        rows = await _PREFERENCES.fetch(self._unit.connection, wanted_account=account_id)
        chosen = _read_channels(rows)
        return {
            category: self._chosen.get(account_id, {}).get(category)
            or chosen.get(category)
            or default_channels(category)
            for category in Category
        }

    def choose(self, account_id: AccountId, chosen: Mapping[Category, Channels]) -> None:
        self._chosen.setdefault(account_id, {}).update(chosen)

    def stage(self, batch: WriteBatch) -> None:
        """Put the choices into the batch."""
        for account_id, chosen in self._chosen.items():
            batch.stage(
                _CHOOSE,
                account_id=account_id,
                now=self._unit.clock.now(),
                categories=[category.value for category in chosen],
                emails=[channels.email for channels in chosen.values()],
                sms=[channels.sms for channels in chosen.values()],
            )
        self._chosen.clear()


class PostgresMails:
    """Mails queued by one unit of work."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self._unit = unit_of_work
        self._added: dict[str, Mail] = {}
        unit_of_work.attach(self)

    def add(self, mail: Mail) -> None:
        self._added.setdefault(mail.message_id, mail)

    def stage(self, batch: WriteBatch) -> None:
        """Put the mails into the batch."""
        if not self._added:
            return
        mails, self._added = list(self._added.values()), {}
        batch.stage(
            _ADD_MAILS,
            now=self._unit.clock.now(),
            ids=[self._unit.ids.new() for _ in mails],
            message_ids=[mail.message_id for mail in mails],
            addresses=[mail.to for mail in mails],
            subjects=[mail.subject for mail in mails],
            texts=[mail.text for mail in mails],
        )


class PostgresWaitingMails:
    """The mail queue as its sender sees it; each call is a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, *, now: datetime, leased_until: datetime, limit: int) -> Sequence[WaitingMail]:
        async with self._database.connection() as connection:
            rows = await _TAKE.fetch(connection, now=now, leased_until=leased_until, limit_rows=limit)
        return [
            WaitingMail(
                id=row["id"],
                message_id=row["message_id"],
                recipient=row["recipient"],
                to=row["to_address"],
                subject=row["subject"],
                text=row["text"],
                attempt=row["attempts"],
            )
            for row in sorted(rows, key=lambda row: row["id"].int)
        ]

    async def sent(self, mail: WaitingMail, *, now: datetime) -> None:
        async with self._database.connection() as connection:
            await _SENT.execute(connection, mail_id=mail.id, now=now)

    async def try_again(self, mail: WaitingMail, *, at: datetime, error: str) -> None:
        async with self._database.connection() as connection:
            await _TRY_AGAIN.execute(connection, mail_id=mail.id, attempt=mail.attempt, again_at=at, error=error)

    async def give_up(self, mail: WaitingMail, *, now: datetime, error: str) -> None:
        async with self._database.connection() as connection:
            await _GIVE_UP.execute(connection, mail_id=mail.id, attempt=mail.attempt, now=now, error=error)


class PostgresMailAddresses:
    """Where people get their mail, as identity has verified it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def verified(self, people: Collection[AccountId]) -> Mapping[AccountId, str]:
        async with self._database.connection() as connection:
            rows = await _VERIFIED.fetch(connection, wanted_accounts=list(people))
        return {AccountId(row["id"]): row["verified_email"] for row in rows}


class PostgresNoticeQueries:
    """Reads of notices and preferences."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_of(self, recipient: AccountId, wanted: NoticeFilter, page: Page) -> Listing[NoticeView]:
        async with self._database.connection() as connection:
            return await _LIST.fetch(
                connection,
                page,
                _read_notice,
                reader=recipient,
                only_unread=wanted.only_unread,
                category=None if wanted.category is None else wanted.category.value,
                after=wanted.after,
            )

    async def last_numbers(self, people: Collection[AccountId]) -> Mapping[AccountId, int]:
        async with self._database.connection() as connection:
            rows = await _LAST_NUMBERS.fetch(connection, people=list(people))
        return dict.fromkeys(people, 0) | {AccountId(row["account_id"]): row["last_seq"] for row in rows}

    async def following(self, places: Collection[Place], *, each_max: int) -> Mapping[Place, Sequence[NoticeView]]:
        asked, found = list(places), dict[Place, list[NoticeView]]()
        async with self._database.connection() as connection:
            rows = await _FOLLOWING.fetch(
                connection,
                recipients=[place.person for place in asked],
                afters=[place.after for place in asked],
                each_max=each_max,
            )
        for row in rows:
            found.setdefault(asked[row["place"] - 1], []).append(_read_notice(row))
        return found

    async def channels_of(self, account_id: AccountId) -> Mapping[Category, Channels]:
        async with self._database.connection() as connection:
            chosen = _read_channels(await _PREFERENCES.fetch(connection, wanted_account=account_id))
        return {category: chosen.get(category) or default_channels(category) for category in Category}


def _read_channels(rows: Sequence[asyncpg.Record]) -> dict[Category, Channels]:
    return {Category(row["category"]): Channels(email=row["email"], sms=row["sms"]) for row in rows}


def _read_notice(row: asyncpg.Record) -> NoticeView:
    return NoticeView(
        id=row["id"],
        seq=row["seq"],
        category=Category(row["category"]),
        title=row["title"],
        message=row["message"],
        link=row["link"],
        metadata=row["metadata"],
        frame=Frame(row["socket_event"] or Frame.GENERAL),
        is_mailed=row["is_mailed"],
        created_at=row["created_at"],
        read_at=row["read_at"],
    )
