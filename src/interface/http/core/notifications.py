"""Notifications over HTTP."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, get, post, put
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK
from msgspec import Meta, Struct

from application.core.identity.authenticate import Caller
from application.core.kernel.ports import Page
from application.core.notifications.choose_channels import ChooseChannels, WantedChannels
from application.core.notifications.queries import NoticeFilter, NoticeQueries, NoticeView
from application.core.notifications.read_notices import ReadNotices
from domain.core.notifications.notice import Category, Channels
from interface.http.aliases import operation_ids
from interface.http.caller import signed_in
from interface.http.wire import ListBody, list_body
from interface.http.wired import Wired


class NoticeBody(Struct, frozen=True):
    """One notification. `seq` counts a person's notifications without gaps."""

    id: UUID
    seq: int
    category: Category
    type: str
    title: str
    message: str
    link: str | None
    metadata: Mapping[str, object]
    is_read: bool
    read_at: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, notice: NoticeView) -> "NoticeBody":
        """Write a notification."""
        return cls(
            id=notice.id,
            seq=notice.seq,
            category=notice.category,
            type="both" if notice.is_mailed else "in_app",
            title=notice.title,
            message=notice.message,
            link=notice.link,
            metadata=notice.metadata,
            is_read=notice.read_at is not None,
            read_at=notice.read_at,
            created_at=notice.created_at,
        )


class UnreadBody(Struct, frozen=True):
    """How many notifications are unread now."""

    unread_count: int


class ChannelsBody(Struct, frozen=True):
    """Where notifications of a category go."""

    in_app: bool
    email: bool
    sms: bool


class ChannelsInput(Struct, frozen=True):
    """Channels to switch; what is left out stays as it is."""

    in_app: bool | None = None
    email: bool | None = None
    sms: bool | None = None

    def read(self) -> WantedChannels:
        """Read the wish."""
        return WantedChannels(in_app=self.in_app, email=self.email, sms=self.sms)


PreferencesBody = dict[Category, ChannelsBody]
PreferencesInput = Annotated[dict[Category, ChannelsInput], Meta(max_length=len(Category))]


def preferences_body(channels: Mapping[Category, Channels]) -> PreferencesBody:
    """Write the channels of every category."""
    return {category: ChannelsBody(True, one.email, one.sms) for category, one in channels.items()}


class NotificationController(Controller):
    path = ""
    tags = ("notifications",)
    guards = (signed_in,)

    @get(
        ["/api/notifications", "/api/auth/notifications", "/api/v1/notifications"],
        operation_id=operation_ids("listNotifications", "/api/notifications"),
        status_code=HTTP_200_OK,
    )
    async def list_own(
        self,
        request: Request[Any, Any, Any],
        caller: Wired[Caller],
        page: Wired[Page],
        notice_queries: Wired[NoticeQueries],
        unread: FromQuery[bool] = False,
        category: FromQuery[Category | None] = None,
        after: FromQuery[Annotated[int, QueryParameter(ge=0, lt=1 << 53)]] = 0,
    ) -> ListBody[NoticeBody]:
        """List your notifications, newest first; `after` leaves out those up to that number."""
        wanted = NoticeFilter(only_unread=unread, category=category, after=after)
        return list_body(request, await notice_queries.list_of(caller.account_id, wanted, page), NoticeBody.of)

    @post("/api/notifications/{notice_id:uuid}/read", operation_id="readNotification", status_code=HTTP_200_OK)
    async def read_one(
        self, notice_id: FromPath[UUID], caller: Wired[Caller], read_notices: Wired[ReadNotices]
    ) -> UnreadBody:
        """Mark one of your notifications as read."""
        return UnreadBody(await read_notices.one(caller.account_id, notice_id))

    @post("/api/notifications/read-all", operation_id="readAllNotifications", status_code=HTTP_200_OK)
    async def read_all(self, caller: Wired[Caller], read_notices: Wired[ReadNotices]) -> UnreadBody:
        """Mark all of your notifications as read."""
        return UnreadBody(await read_notices.all(caller.account_id))

    @get("/api/notifications/preferences", operation_id="getNotificationPreferences", status_code=HTTP_200_OK)
    async def preferences(self, caller: Wired[Caller], notice_queries: Wired[NoticeQueries]) -> PreferencesBody:
        """Show where your notifications go."""
        return preferences_body(await notice_queries.channels_of(caller.account_id))

    @put(
        "/api/notifications/preferences",
        operation_id="setNotificationPreferences",
        refuses=("notifications.cannot_disable",),
        status_code=HTTP_200_OK,
    )
    async def set_preferences(
        self,
        data: JSONBody[PreferencesInput],
        caller: Wired[Caller],
        choose_channels: Wired[ChooseChannels],
    ) -> PreferencesBody:
        """Choose where your notifications go. Security notices cannot be switched off."""
        wanted = {category: one.read() for category, one in data.items()}
        return preferences_body(await choose_channels(caller.account_id, wanted))
