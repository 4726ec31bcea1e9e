"""Goal R6: what breaks the books is found by the job that watches them, and the payouts it concerns stop."""

from datetime import timedelta

import asyncpg
import pytest

from application.core.ledger.proof import LedgerBroken
from tests.e2e.market import Market, Person

PLANTED = (
    ("balance_differs", "wallet:user:{ada}", "UPDATE ledger_balances SET balance = balance + 1 WHERE account = $1"),
    ("balance_differs", "wallet:user:{ben}", "DELETE FROM ledger_balances WHERE account = $1"),
    ("held_differs", "reserved:user:{ada}", "UPDATE withdrawals SET amount = amount - 1 WHERE owner_id = {ada}"),
    ("chain_broken", "transfer:{first}", "UPDATE ledger_postings SET currency = 'USD' WHERE transfer_id = {first}"),
    ("chain_broken", "transfer:{first}", "UPDATE ledger_transfers SET reference = 'other' WHERE id = {first}"),
    (
        "chain_broken",
        "transfer:{first}",
        "UPDATE ledger_transfers SET posted_at = posted_at - interval '1 s' WHERE id = {first}",
    ),
    ("chain_broken", "transfer:{first}", "UPDATE ledger_transfers SET kind = 'other' WHERE id = {first}"),
    ("sum_differs", "asset:KES", "UPDATE ledger_balances SET balance = balance + 5 WHERE account = $1"),
    ("trail_broken", "audit_entry:{entry}", "UPDATE audit_entries SET reason = 'another' WHERE id = {entry}"),
    ("unsealed_too_long", "transfer:{first}", "INSERT INTO ledger_unsealed (transfer_id) VALUES ({first})"),
)
"""Ten ways to break the books behind the server's back: what it is called, whom it names, and how it is done."""


async def asked_out(market: Market, person: Person, amount: int) -> str:
    """Have money asked out of a wallet that was filled for it."""
    phone = f"07123456{len(person.username)}8"
    await market.top_up(person, amount, phone)
    reply = await market.post(
        person, "/api/withdrawals/request", {"amount": amount // 2, "destination": {"phone": phone}}
    )
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


async def seal(market: Market) -> None:
    await market.run("ledger.seal")
    await market.run("audit.seal")


async def alarms(market: Market) -> set[tuple[str, str]]:
    rows = await market.rows("SELECT breach, name FROM ledger_alarms WHERE closed_at IS NULL")
    return {(row["breach"], row["name"]) for row in rows}


async def test_each_of_ten_violations_is_found_by_the_next_run_and_corrected_by_nobody(
    market: Market, superuser: asyncpg.Connection
) -> None:
    ada, ben = await market.register("ada", "admin"), await market.register("benedict")
    await asked_out(market, ada, 2000)
    await market.top_up(ben, 500, "0722000111")
    await market.post(ada, "/api/admin/jobs/operations.clean_up/run")
    await seal(market)
    assert await market.run("ledger.prove") == 0
    assert await alarms(market) == set()
    first = await superuser.fetchval("SELECT transfer_id FROM ledger_seals ORDER BY seq LIMIT 1")
    entry = await superuser.fetchval("SELECT entry_id FROM audit_seals ORDER BY seq LIMIT 1")
    names = {"ada": ada.id, "ben": ben.id, "first": first, "entry": entry}
    market.clock.advance(timedelta(minutes=11))
    for breach, name, sql in PLANTED:
        account = name if name.startswith(("wallet", "reserved")) else f"wallet:user:{ada.id}"
        planted = sql.format(**{key: f"'{value}'" for key, value in names.items()})
        whole = superuser.transaction()
        await whole.start()
        await superuser.execute(planted, *([account.format(**names)] if "$1" in planted else []))
        before = await superuser.fetch("SELECT * FROM ledger_balances ORDER BY account, currency")
        await whole.commit()
        with pytest.raises(LedgerBroken):
            await market.run("ledger.prove")
        assert (breach, name.format(**names)) in await alarms(market), planted
        assert await superuser.fetch("SELECT * FROM ledger_balances ORDER BY account, currency") == before
        await superuser.execute("DELETE FROM ledger_alarms")
    figures = (await market.get(None, "/metrics")).text
    assert "soko_ledger_alarms_open 0.0" in figures


async def test_when_workers_were_away_late_seals_are_told_of_and_nobody_is_kept_from_his_money(market: Market) -> None:
    boss, ada = await market.register("boss", "admin"), await market.register("ada")
    waiting = await asked_out(market, ada, 2000)
    market.clock.advance(timedelta(minutes=11))
    with pytest.raises(LedgerBroken):  # a worker is back, and proves before it seals
        await market.run("ledger.prove")
    found = await market.rows("SELECT DISTINCT breach, owner_id FROM ledger_alarms")
    assert found == [{"breach": "unsealed_too_long", "owner_id": None}]
    reply = await market.post(boss, f"/api/admin/withdrawals/{waiting}/action", {"action": "approve"})
    assert (reply.status_code, reply.json()["status"]) == (200, "APPROVED"), reply.text


async def test_while_an_alarm_is_open_its_owner_is_paid_nothing_and_others_are(
    market: Market, superuser: asyncpg.Connection
) -> None:
    boss, ada, ben = [await market.register(*one) for one in (("boss", "admin"), ("ada",), ("benedict",))]
    approved, other = await asked_out(market, ada, 2000), await asked_out(market, ben, 3000)
    for one in (approved, other):
        reply = await market.post(boss, f"/api/admin/withdrawals/{one}/action", {"action": "approve"})
        assert reply.status_code == 200, reply.text
    await market.top_up(ada, 700, "0712345638")
    waiting = (
        await market.post(ada, "/api/withdrawals/request", {"amount": 300, "destination": {"phone": "0712345638"}})
    ).json()["id"]
    market.clock.advance(timedelta(days=3))
    await seal(market)
    await superuser.execute(
        "UPDATE ledger_balances SET balance = balance + 1 WHERE account = $1", f"wallet:user:{ada.id}"
    )
    for _ in range(2):  # the second finding is the same alarm
        with pytest.raises(LedgerBroken):
            await market.run("ledger.prove")
    [alarm] = await market.rows("SELECT id, owner_id FROM ledger_alarms WHERE breach = 'balance_differs'")
    assert alarm["owner_id"] == ada.id
    frozen = await market.rows("SELECT target FROM audit_entries WHERE action = 'FREEZE_PAYOUTS'")
    assert frozen == [{"target": f"account:{ada.id}"}]

    await market.run("payments.run_payouts")
    stages = {str(row["id"]): row["stage"] for row in await market.rows("SELECT id, stage FROM withdrawals")}
    assert (stages[approved], stages[waiting]) == ("approved", "pending")
    assert stages[other] != "approved"
    refused = await market.post(boss, f"/api/admin/withdrawals/{waiting}/action", {"action": "approve"})
    assert (refused.status_code, refused.json()["code"]) == (409, "payments.payouts_frozen")
    assert await market.value("SELECT stage FROM withdrawals WHERE id::text = $1", waiting) == "pending"
    repeated = await market.post(boss, f"/api/admin/withdrawals/{approved}/action", {"action": "approve"})
    assert (repeated.status_code, repeated.json()["status"]) == (200, "APPROVED")  # it was decided before
    rejected = await market.post(boss, f"/api/admin/withdrawals/{waiting}/action", {"action": "reject", "note": "no"})
    assert rejected.status_code == 200  # money may come back

    await superuser.execute(
        "UPDATE ledger_balances SET balance = balance - 1 WHERE account = $1", f"wallet:user:{ada.id}"
    )
    close_alarm = dict(market.server.named_use_cases())["close_alarm"]
    for left in await market.rows("SELECT id FROM ledger_alarms WHERE closed_at IS NULL"):
        await close_alarm(left["id"], by=boss.id, reason="The disk was repaired.")
    await seal(market)
    assert await market.run("ledger.prove") == 0
    await market.run("payments.run_payouts")
    assert await market.value("SELECT stage FROM withdrawals WHERE id::text = $1", approved) != "approved"
    assert (
        await market.value("SELECT reason FROM audit_entries WHERE action = 'CLOSE_ALARM' LIMIT 1")
        == "The disk was repaired."
    )
