"""People who use a running server over HTTP and are surprised by every answer they did not expect."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

Json = dict[str, Any]

PAID_WITHIN_S = 30.0
"""The simulated payer takes two seconds, a loaded machine may take longer."""

LOOK_EVERY_S = 0.2
"""How often something that happens beside the requests is looked at; it usually takes two seconds."""


class Surprise(Exception):
    """The server answered something else than the journey says; the message names both."""


def check(what: str, found: object, expected: object) -> None:
    """Compare. Raises Surprise."""
    if found != expected:
        raise Surprise(f"{what}: expected {expected!r}, and found {found!r}.")


async def until(what: str, look: Callable[[], Awaitable[bool]], *, within_s: float) -> None:
    """Look again and again until it is so. Raises Surprise when it takes too long."""
    end = time.monotonic() + within_s
    while not await look():
        if time.monotonic() > end:
            raise Surprise(f"{what}: not within {within_s:.0f} s.")
        await asyncio.sleep(LOOK_EVERY_S)


class Visitor:
    """Somebody at a server: nobody known at first, then whoever's token he holds."""

    def __init__(self, client: httpx.AsyncClient, name: str, token: str | None = None) -> None:
        self.client = client
        self.name = name
        self.token = token
        self.id = ""

    async def get(self, path: str, *, expect: int | tuple[int, str] = 200) -> Json:
        """Read. Raises Surprise."""
        return await self._send("GET", path, expect)

    async def post(self, path: str, body: object = None, *, expect: int | tuple[int, str] = 200) -> Json:
        """Send JSON; `expect` is the status, or the status and the code of a refusal. Raises Surprise."""
        return await self._send("POST", path, expect, json=body)

    async def patch(self, path: str, body: object, *, expect: int | tuple[int, str] = 200) -> Json:
        """Change something. Raises Surprise."""
        return await self._send("PATCH", path, expect, json=body)

    async def send_file(
        self, path: str, fields: Mapping[str, str], file: tuple[str, str, bytes], *, expect: int | tuple[int, str] = 201
    ) -> Json:
        """Send a form with one file: its field, its name, its bytes. Raises Surprise."""
        field, name, content = file
        return await self._send("POST", path, expect, data=dict(fields), files={field: (name, content)})

    async def register(self, path: str, body: Json) -> None:
        """Make an account and act as it from now on. Raises Surprise."""
        made = await self.post(path, body, expect=201)
        self.id, self.token = made["id"], made["access"]

    async def log_in(self, path: str, login: str, password: str) -> None:
        """Sign in and act as that account from now on. Raises Surprise."""
        field = "email" if "@" in login else "username"
        signed_in = await self.post(path, {field: login, "password": password})
        self.id, self.token = signed_in["user"]["id"], signed_in["access"]

    async def try_post(self, path: str, body: object = None) -> tuple[int, Json]:
        """Send JSON and return the status and the answer, whatever they are. Raises Surprise."""
        return await self._ask("POST", path, json=body)

    async def _send(self, method: str, path: str, expect: int | tuple[int, str], **content: Any) -> Json:
        status, code = expect if isinstance(expect, tuple) else (expect, None)
        found, reply = await self._ask(method, path, **content)
        if (found, reply.get("code") if code else None) != (status, code):
            wanted = f"{status} {code}" if code else str(status)
            raise Surprise(f"{self.name}: {method} {path}: expected {wanted}, and got {found} {_short(reply)}")
        return reply

    async def _ask(self, method: str, path: str, **content: Any) -> tuple[int, Json]:
        headers = {} if self.token is None else {"authorization": f"Bearer {self.token}"}
        try:
            reply = await self.client.request(method, path, headers=headers, **content)
        except httpx.ConnectError as error:
            raise Surprise(
                f"Nobody answers at {self.client.base_url}; start the server with `make run`, or, if it has another"
                " port, name that in SOKO_PORT."
            ) from error
        except httpx.HTTPError as error:
            raise Surprise(f"{self.name}: {method} {path}: {type(error).__name__} {error}") from error
        try:
            body = reply.json()
        except ValueError as error:
            raise Surprise(f"{self.name}: {method} {path}: {reply.status_code} and no JSON") from error
        return reply.status_code, body if isinstance(body, dict) else {"body": body}


def _short(reply: Json) -> str:
    detail = f"{reply.get('code', '')} {reply.get('detail', '')}".strip()
    return detail or str(reply)[:300]


async def wallet_is(visitor: Visitor, balance: str, *, held: str = "0.00", pending: str = "0.00") -> None:
    """Compare somebody's wallet. Raises Surprise."""
    wallet = await visitor.get("/api/wallet")
    found = wallet["balance"], wallet["held"], wallet["pending"]
    check(f"{visitor.name}'s wallet (balance, held, pending)", found, (balance, held, pending))


async def paid(payer: Visitor, admin: Visitor, reference: str) -> None:
    """Wait for the simulated payer; a server whose simulator waits to be asked is asked. Raises Surprise."""
    path, asked = f"/api/transactions/status/{reference}", False

    async def is_settled() -> bool:
        nonlocal asked
        state = await payer.get(path)
        if state["status"] == "FAILED":
            raise Surprise(f"{payer.name}: the payment {reference} failed: {state['message']}")
        if state["status"] == "PENDING" and not asked:
            status, _ = await admin.try_post("/api/payments/simulator/deliver", {"reference": reference})
            asked = status == httpx.codes.OK
        return state["status"] == "SUCCESS" and bool(state["processed"])

    await until(f"The payment {reference} of {payer.name}", is_settled, within_s=PAID_WITHIN_S)
