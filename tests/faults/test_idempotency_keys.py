"""C4: however often a request with a key arrives, and whoever is killed meanwhile, it has one effect."""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest

from application.core.kernel.receipts import KEY_LEASE
from infrastructure.postgres.database import Database
from tests.faults.keyed_server import keyed_app
from tests.faults.processes import free_port, kill, killed_at_the_end, python

KEYS, COPIES = 25, 12
CUT_OFF = (httpx.HTTPError, AttributeError)
"""anyio says the second of a connection that dies between being made and being looked at."""


async def effects(dsn: str) -> Counter[str]:
    """Return how often each body had its effect."""
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch("SELECT target FROM audit_entries WHERE action = 'EFFECT'")
    await connection.close()
    return Counter(row["target"] for row in rows)


def headers(key: str, account: int = 1) -> dict[str, str]:
    return {"Idempotency-Key": key, "Authorization": f"Bearer {account}", "Content-Type": "application/json"}


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    database = Database(database_url)
    transport = httpx.ASGITransport(keyed_app(database))
    async with httpx.AsyncClient(transport=transport, base_url="http://market") as client:
        yield client
    assert database.borrowed == 0
    await database.close()


async def test_simultaneous_copies_have_one_effect_and_only_the_first_reply(
    client: httpx.AsyncClient, database_dsn: str
) -> None:
    async def send(number: int) -> httpx.Response:
        return await client.post("/pay", content=f'"body {number}"', headers=headers(f"key-{number}"))

    order = [number for number in range(KEYS) for _ in range(COPIES)]
    random.Random(4).shuffle(order)
    replies = await asyncio.gather(*(send(number) for number in order))
    by_key: dict[int, list[httpx.Response]] = defaultdict(list)
    for number, reply in zip(order, replies, strict=True):
        by_key[number].append(reply)
    for number in range(KEYS):
        carried_out = [reply for reply in by_key[number] if reply.status_code == 201]
        others = [reply for reply in by_key[number] if reply.status_code != 201]
        assert len({reply.text for reply in carried_out}) == 1
        assert sum("idempotency-replayed" not in reply.headers for reply in carried_out) == 1
        assert {reply.json()["code"] for reply in others} <= {"kernel.key_in_progress"}
        assert all(reply.headers["retry-after"] == "1" for reply in others)
    assert await effects(database_dsn) == {f'"body {number}"': 1 for number in range(KEYS)}


async def test_a_changed_body_path_or_method_under_a_used_key_is_refused(
    client: httpx.AsyncClient, database_dsn: str
) -> None:
    assert (await client.post("/pay", content='"a"', headers=headers("k"))).status_code == 201
    for method, path, body in (("POST", "/pay", '"b"'), ("POST", "/other", '"a"'), ("PUT", "/pay", '"a"')):
        refused = await client.request(method, path, content=body, headers=headers("k"))
        assert (refused.status_code, refused.json()["code"]) == (422, "kernel.key_reused")
    assert await effects(database_dsn) == {'"a"': 1}


async def test_a_form_is_the_same_whatever_stands_between_its_parts_and_however_it_is_cut(
    client: httpx.AsyncClient, database_dsn: str
) -> None:
    async def send(boundary: str, value: str, step: int) -> httpx.Response:
        lines = (f"--{boundary}", 'Content-Disposition: form-data; name="a"', "", value, f"--{boundary}--", "")
        form = "\r\n".join(lines).encode()

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(form), step):
                yield form[start : start + step]

        sent = headers("k") | {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return await client.post("/pay", content=pieces(), headers=sent)

    first = await send("first-of-two", "1", 1_000)
    assert first.status_code == 201
    for step in (1, 7, 1_000):
        again = await send("another-boundary-of-another-length", "1", step)
        assert (again.text, again.headers["idempotency-replayed"]) == (first.text, "true")
    assert (await send("first-of-two", "2", 1_000)).json()["code"] == "kernel.key_reused"
    assert sum((await effects(database_dsn)).values()) == 1


async def test_the_same_key_of_another_account_is_independent(client: httpx.AsyncClient, database_dsn: str) -> None:
    replies = [await client.post("/pay", content='"a"', headers=headers("k", account)) for account in (1, 2)]
    assert [reply.status_code for reply in replies] == [201, 201]
    assert await effects(database_dsn) == {'"a"': 2}


async def test_a_key_of_a_refused_request_is_free_for_the_corrected_one(
    client: httpx.AsyncClient, database_dsn: str
) -> None:
    assert (await client.post("/pay", content='"refused"', headers=headers("k"))).status_code == 422
    assert (await client.post("/pay", content='"a"', headers=headers("k"))).status_code == 201
    assert await effects(database_dsn) == {'"a"': 1}


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "é".encode("latin-1")])
async def test_a_key_that_is_no_key_is_refused(client: httpx.AsyncClient, database_dsn: str, key: str | bytes) -> None:
    raw = key if isinstance(key, bytes) else key.encode()
    sent = [(b"idempotency-key", raw), (b"authorization", b"Bearer 1")]
    refused = await client.post("/pay", content='"a"', headers=sent)
    assert (refused.status_code, refused.json()["code"]) == (400, "kernel.key_malformed")
    assert await effects(database_dsn) == {}


async def test_killing_the_server_mid_run_never_leads_to_a_second_effect(database_url: str, database_dsn: str) -> None:
    port, chance = free_port(), random.Random(7)
    replies: dict[int, set[str]] = defaultdict(set)
    ahead_s = int(KEY_LEASE.total_seconds()) + 1

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=5) as client:

        async def send(number: int) -> int:
            try:
                reply = await client.post("/pay", content=f'"body {number}"', headers=headers(f"key-{number}"))
            except CUT_OFF:
                return 0
            if reply.status_code == 201:
                replies[number].add(reply.text)
            return reply.status_code

        async def until_up() -> None:
            async with asyncio.timeout(60):
                while True:
                    try:
                        await client.post("/pay", content='"refused"')
                    except CUT_OFF:
                        await asyncio.sleep(0.05)
                    else:
                        return

        for _ in range(3):
            with killed_at_the_end(python("-m", "tests.faults.keyed_server", database_url, str(port), "0")) as server:
                await until_up()
                sending = [asyncio.create_task(send(number)) for number in range(KEYS) for _ in range(3)]
                for _ in range(chance.randint(5, 40)):
                    await asyncio.sleep(0)
                await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
                kill(server)
                await asyncio.gather(*sending)
        with killed_at_the_end(python("-m", "tests.faults.keyed_server", database_url, str(port), str(ahead_s))):
            await until_up()  # a minute later, as far as it knows: no key may be in progress any more
            statuses = [await send(number) for number in range(KEYS)]
    done = await effects(database_dsn)
    assert done == {f'"body {number}"': 1 for number in range(KEYS)}
    assert set(statuses) <= {201, 409}  # 409: it was carried out, its reply died with the server
    assert all(len(texts) == 1 for texts in replies.values())
