"""POST /api/subscriptions/pay, GET /api/subscriptions/status, GET /api/ratings/me."""

from datetime import timedelta
from typing import Any

import httpx

from domain.core.payments.policies import FX_USD_KES
from tests.e2e.assignments.stage import Stage

PAY = "/api/subscriptions/pay"
PHONE = "0722000111"


async def pay(stage: Stage, plan: str, **fields: Any) -> httpx.Response:
    return await stage.market.post(stage.writer, PAY, {"plan": plan, "phone": PHONE} | fields)


async def status(stage: Stage) -> dict[str, Any]:
    return await stage.done(stage.market.get(stage.writer, "/api/subscriptions/status"))


async def arrive(stage: Stage, purchase: dict[str, Any]) -> None:
    """Have the money of a purchase come in."""
    fields = {"reference": purchase["reference"], "status": "SUCCESS", "amount": float(purchase["amount"])}
    assert (await stage.market.lipana(fields)).status_code == 200
    await stage.market.drain()


async def test_a_plan_runs_from_the_moment_its_money_arrives(stage: Stage) -> None:
    market = stage.market
    assert await status(stage) == {
        "plan": None,
        "active": False,
        "daily_count": 0,
        "daily_date": "2026-03-02",
        "daily_limit": 0,
        "starts_at": None,
        "ends_at": None,
        "open_claims": 0,
        "open_claims_limit": 3,
        "pending_reference": None,
    }
    bought = await stage.done(pay(stage, "p5"), 201)
    assert (bought["plan"], bought["amount"], bought["currency"], bought["status"]) == (
        "P5",
        "648.00",
        "KES",
        "PENDING",
    )
    assert bought["quote"] == {
        "usd": "5.00",
        "rate": "129.50",
        "rate_date": "2026-01-15",
        "expires_at": "2026-03-02T08:15:00Z",
    }
    assert (bool(bought["detail"]), bool(bought["next_action"])) == (True, True)
    pending = await status(stage)
    assert (pending["plan"], pending["active"], pending["pending_reference"]) == (None, False, bought["reference"])
    market.clock.advance(timedelta(minutes=1))
    for _ in range(2):  # the callback comes twice, and starts one plan
        await arrive(stage, bought)
    running = await status(stage)
    assert (running["plan"], running["active"], running["daily_limit"]) == ("P5", True, 9)
    assert (running["starts_at"], running["ends_at"]) == ("2026-03-02T08:01:00Z", "2026-04-01T08:01:00Z")
    assert running["pending_reference"] is None
    assert await market.wallet(stage.writer) == 0
    assert (await market.balance("revenue:subscriptions"), await market.balance("clearing:lipana")) == (648_00, -648_00)


async def test_a_purchase_under_way_is_answered_again_and_another_plan_refused(stage: Stage) -> None:
    first = await stage.done(pay(stage, "P2"), 201)
    again = await stage.done(pay(stage, "P2"), 200)
    assert (again["reference"], again["amount"]) == (first["reference"], "259.00")
    await stage.refused(pay(stage, "P5"), 409, "assignments.payment_in_flight")
    stage.market.policies.set(FX_USD_KES, "140.00@2026-03-02")
    await arrive(stage, first)  # the quote's amount counts
    assert (await status(stage))["active"] is True
    later = await stage.done(pay(stage, "P2"), 201)
    assert (later["amount"], later["quote"]["rate"]) == ("280.00", "140.00")


async def test_money_that_comes_too_late_goes_to_the_writers_wallet(stage: Stage) -> None:
    market = stage.market
    bought = await stage.done(pay(stage, "P2"), 201)
    market.clock.advance(timedelta(minutes=20))
    await market.run("payments.expire_attempts")  # as each minute
    await arrive(stage, bought)
    assert ((await status(stage))["active"], await market.wallet(stage.writer)) == (False, 259_00)
    await arrive(stage, bought)
    assert await market.wallet(stage.writer) == 259_00
    paid = await stage.done(pay(stage, "P2", method="wallet"), 201)  # and he may pay from it
    assert (paid["status"], paid["next_action"]) == ("SUCCESS", None)
    assert ((await status(stage))["active"], await market.wallet(stage.writer)) == (True, 0)
    assert await market.balance("revenue:subscriptions") == 259_00


async def test_the_same_plan_adds_thirty_days_and_a_lower_one_waits(stage: Stage) -> None:
    market = stage.market
    await market.buy_plan(stage.writer, "P5")
    market.clock.advance(timedelta(days=10))
    await stage.refused(pay(stage, "P2"), 409, "assignments.plan_lower_than_current")
    await market.buy_plan(stage.writer, "P5")
    running = await status(stage)
    assert (running["starts_at"], running["ends_at"]) == ("2026-03-02T08:00:00Z", "2026-05-01T08:00:00Z")
    market.clock.advance(timedelta(days=51))
    assert (await stage.done(pay(stage, "P2"), 201))["amount"] == "259.00"


async def test_an_upgrade_is_charged_less_the_unused_days_and_runs_at_once(stage: Stage) -> None:
    market = stage.market
    await market.buy_plan(stage.writer, "P2")
    market.clock.advance(timedelta(days=17, hours=12))  # 12 whole days are left
    upgrade = await stage.done(pay(stage, "P10"), 201)
    assert upgrade["amount"] == "1192.00"
    await arrive(stage, upgrade)
    running = await status(stage)
    assert (running["plan"], running["daily_limit"], running["ends_at"]) == ("P10", None, "2026-04-18T20:00:00Z")


async def test_an_upgrade_counts_what_was_claimed_the_same_day(stage: Stage) -> None:
    await stage.market.top_up(stage.writer, 1000)
    await stage.done(pay(stage, "P2", method="wallet"), 201)
    await stage.market.execute(
        "UPDATE writers SET day = $2, used = 5 WHERE account_id = $1", stage.writer.id, stage.market.clock.now().date()
    )
    task = await stage.open()
    await stage.refused(stage.claim(task), 403, "assignments.daily_limit_reached")
    await stage.done(pay(stage, "P5", method="wallet"), 201)
    assert (await stage.done(stage.claim(task)))["quota"]["left"] == 3  # 4 were left, one is used now


async def test_what_cannot_be_bought_costs_nothing(stage: Stage) -> None:
    market = stage.market
    await stage.refused(pay(stage, "P3"), 422, "assignments.plan_unknown")
    await stage.refused(pay(stage, "P2", method="wallet"), 409, "ledger.insufficient_funds")
    await stage.refused(market.post(stage.writer, PAY, {"plan": "P2"}), 422, "payments.phone_required")
    await stage.refused(market.post(stage.student, PAY, {"plan": "P2", "phone": PHONE}), 403, "identity.role_required")
    await stage.refused(market.post(None, PAY, {"plan": "P2", "phone": PHONE}), 401, "identity.not_signed_in")
    for phone in ("12", "not a phone", "+15555550100"):
        refused = await pay(stage, "P2", phone=phone)
        assert refused.status_code == 422, refused.text
    for method in ("cash", "Wallet", ""):
        refused = await pay(stage, "P2", method=method)
        assert refused.status_code == 422, refused.text
    assert await market.value("SELECT count(*) FROM writer_subscriptions") == 0
    failed = await stage.done(pay(stage, "P2"), 201)
    assert (await market.lipana({"reference": failed["reference"], "status": "FAILED"})).status_code == 200
    await market.drain()
    after = await status(stage)
    assert (after["active"], after["pending_reference"]) == (False, None)
    assert (await stage.done(pay(stage, "P5"), 201))["plan"] == "P5"  # the way is free for another


async def test_a_rating_is_a_writers_only(stage: Stage) -> None:
    for path in ("/api/ratings/me", "/api/auth/ratings/me", "/api/ratings/me/"):
        assert (await stage.market.get(stage.writer, path)).json() == {"points": 0, "badge": "Bronze"}
        for other in (stage.student, stage.admin):
            await stage.refused(stage.market.get(other, path), 404, "reputation.no_rating")
