"""What the API document says in prose."""

from collections.abc import Mapping

DESCRIPTION = """\
An open marketplace backend: people post work, others do it, money is held and paid out.

**Sign-in.** `POST /api/auth/login` gives an access token (30 minutes) and a refresh token (7 days, rotated at every
use). Send `Authorization: Bearer <access>`.

**Errors.** Every 4xx and 5xx is `application/problem+json` (RFC 9457). `code` is stable and listed at each operation;
`detail` is a sentence for a person; `errors` names fields; `trace_id` finds the request in the log. A method that an
address does not answer is 405 with `Allow`, an unknown address 404.

**Lists.** `{"results": [...], "next": ..., "previous": ...}`. Follow `next` and `previous` as they are; `limit` is 20
unless said otherwise, and at most 100.

**Money.** A decimal string with its currency beside it, `{"amount": "1500.00", "currency": "KES"}`. Input takes the
string or a JSON number, `1500` or `1500.5`; more digits than the currency has are refused.

**Times.** RFC 3339 in UTC, `2026-03-02T08:00:00Z`. A time without a zone is refused.

**Requests that may arrive twice.** Send an `Idempotency-Key` with what must happen once: the first reply comes again,
marked `Idempotency-Replayed: true`.
"""

NOTIFICATIONS = """\
What a person is told, and where.

The same notifications arrive as they are written on the WebSocket `/ws/notifications`. It opens with `?ticket=` (from
`POST /api/ws/ticket`), with the subprotocol `access_token_<access>` or with `?token=<access>`; `?after=<seq>` goes on
after that number. Frames are JSON: first `{"type": "connection_established", "seq": 7}`, whose `seq` is the number
after which this socket goes on; then for each notification `{"type", "event", "seq", "notification"}`, where
`notification` is what the list shows and `type` is `order_notification`, `payment_notification`, `status_update` or
`notification`. `{"type": "ping"}` is answered by `{"type": "pong"}`. Close codes: 4001 not signed in any more, 4008
reader too slow, 1008 a parameter is wrong, 1009 a frame beyond 64 KiB, 1012 restart, 1013 try again later. Unknown
origins get 403.
"""

TAGS: Mapping[str, str] = {
    "identity": "Accounts: registering, signing in and out, profiles, proofs of addresses, devices, blocks.",
    "assignments": "Tasks and the work on them: posting, claiming, submitting.",
    "subscriptions": "Plans with which writers claim tasks.",
    "reputation": "Points and badges.",
    "gigs": "Services in their categories, the workers who do them, and orders.",
    "wallet": "What a person has, has earned, and where it went.",
    "payments": "Money coming in, and the callbacks of providers.",
    "withdrawals": "Money going out.",
    "notifications": NOTIFICATIONS,
    "messaging": "Conversations between people who have to do with each other.",
    "files": "Uploaded files.",
    "administration": "What administrators see and decide.",
    "health": "Whether the server can serve, and its figures.",
    "documentation": "This document and pages that show it.",
}
"""Every tag and what is behind it, in the order in which they are shown."""

DONE_BY_STATUS: Mapping[int, str] = {
    200: "It is done; here is the answer.",
    201: "It is made; here it is.",
    202: "It is accepted and happens soon.",
    204: "It is done; there is nothing to say.",
}
