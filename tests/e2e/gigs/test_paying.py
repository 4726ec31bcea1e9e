"""Placing, changing and paying an order over HTTP: every bound, and money that comes early, late or not at all."""

from datetime import timedelta
from typing import Any

import pytest

from domain.core.payments.gateway import Answer, Collection
from tests.e2e.gigs.stage import EMPTY_CARD, GigsStage, card
from tests.e2e.market import Person

DAY, HOUR, MINUTE, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
WALLET = {"payment_method": "wallet"}
DECLINED_CARD = "4000000000000002"


def mpesa(phone: str = "0700000001") -> dict[str, str]:
    return {"payment_method": "mpesa", "phone": phone}


def pay_path(order: str) -> str:
    return f"/api/payments/order/{order}/pay"


async def decline(stage: GigsStage, order: str, number: str = EMPTY_CARD) -> int:
    """Try a card that is refused; return how many attempts are left."""
    reply = await stage.market.post(stage.client, pay_path(order), card(number))
    assert (reply.status_code, reply.json()["code"]) == (422, "payments.declined"), reply.text
    return int(reply.json()["attempts_left"])


async def prompt(stage: GigsStage, order: str, phone: str) -> str:
    """Send a prompt to a phone; return our reference of it."""
    begun = await stage.done(stage.market.post(stage.client, pay_path(order), mpesa(phone)), 201)
    assert (begun["status"], begun["stage"]) == ("processing", "pending")
    return str(await stage.market.value("SELECT reference FROM payment_intents WHERE id = $1::text::uuid", begun["id"]))


async def tell(stage: GigsStage, reference: str, status: str = "SUCCESS", amount: int = 2500) -> None:
    """Have the provider say how a prompt ended."""
    reply = await stage.market.lipana({"reference": reference, "status": status, "amount": amount})
    assert reply.status_code == 200, reply.text
    await stage.market.drain()


async def expire(stage: GigsStage, order: str) -> str:
    """Run the job that ends unpaid orders and return the order's stage."""
    await stage.market.run("gigs.expire_unpaid")
    await stage.market.drain()
    return str((await stage.order(order))["stage"])


def edit(stage: GigsStage, person: Person, order: str, **changes: object) -> Any:
    return stage.market.patch(person, f"/api/orders/{order}", changes)


# -- placing --


async def test_a_date_lies_ahead_and_at_most_180_days(stage: GigsStage) -> None:
    market, client = stage.market, stage.client
    create = "/api/orders/create"
    for ahead, code in (
        (timedelta(0), "gigs.schedule_in_past"),
        (-SECOND, "gigs.schedule_in_past"),
        (180 * DAY + SECOND, "gigs.schedule_too_far"),
    ):
        await stage.refused(market.post(client, create, stage.wanted(ahead=ahead)), 422, code)
    await stage.placed(ahead=SECOND)
    order = await stage.placed(ahead=180 * DAY)
    late = (stage.now + 180 * DAY + SECOND).isoformat()
    await stage.refused(edit(stage, client, order, scheduled_date=late), 422, "gigs.schedule_too_far")
    await stage.refused(edit(stage, client, order, scheduled_date=stage.now.isoformat()), 422, "gigs.schedule_in_past")
    for quantity in (0, 1001, 1.5):
        reply = await market.post(client, create, stage.wanted() | {"quantity": quantity})
        assert reply.status_code in {400, 422}
    assert await market.value("SELECT count(*) FROM gigs_orders") == 2


async def test_who_may_order_what(stage: GigsStage) -> None:
    market = stage.market
    both = await market.register("wanjiru", "worker", "client")
    await stage.refused(market.post(stage.worker, "/api/orders", stage.wanted()), 403, "identity.role_required")
    listed = await market.value("SELECT category_id FROM offerings LIMIT 1")
    own = await stage.done(
        market.post(
            both,
            "/api/services",
            {"name": "Ironing", "description": "Shirts", "category_id": str(listed), "base_price": "99.99"},
        ),
        201,
    )
    mine = stage.wanted() | {"service": own["id"]}
    await stage.refused(market.post(both, "/api/orders", mine), 403, "gigs.own_service")
    assert (await market.http.delete(f"/api/services/{own['id']}", headers=market.headers(both))).status_code == 204
    await stage.refused(market.post(stage.client, "/api/orders", mine), 409, "gigs.service_inactive")
    nowhere = stage.wanted() | {"service": str(stage.client.id)}
    await stage.refused(market.post(stage.client, "/api/orders", nowhere), 404, "gigs.service_not_found")


async def test_a_price_is_frozen_when_it_is_agreed(stage: GigsStage) -> None:
    market, client = stage.market, stage.client
    order = await stage.placed(quantity=2, expected_total="5000.00")
    await stage.done(market.patch(stage.worker, f"/api/services/{stage.service}", {"base_price": "3000.00"}))
    ask = stage.wanted(quantity=2, expected_total="5000.00")
    refusal = await stage.refused(market.post(client, "/api/orders", ask), 409, "gigs.price_changed")
    assert (refusal["total_price"], refusal["currency"]) == ("6000.00", "KES")
    assert (await stage.order(order))["total_price"] == "5000.00"
    assert (await stage.done(edit(stage, client, order, quantity=3)))["total_price"] == "7500.00"
    paid = await stage.pay(order)
    assert (paid["amount"], await stage.escrow(order)) == ("7500.00", 7500_00)


async def test_what_costs_nothing_is_paid_at_once_without_money(stage: GigsStage) -> None:
    market = stage.market
    await stage.done(market.patch(stage.worker, f"/api/services/{stage.service}", {"base_price": "0.00"}))
    orders = [await stage.placed(), await stage.placed()]
    for order in orders:
        shown = await stage.order(order)
        assert (shown["status"], shown["stage"], shown["total_price"]) == ("paid", "unassigned", "0.00")
        assert (shown["payment_id"], await stage.stages(order)) == (None, ["unpaid", "unassigned"])
        await stage.refused(market.post(stage.client, pay_path(order), card()), 409, "gigs.already_paid")
        await stage.act(stage.worker, order, "assign")
    assert (await stage.act(stage.client, orders[0], "accept"))["status"] == "completed"
    canceled = await stage.act(stage.client, orders[1], "cancel")
    assert (canceled["status"], canceled["refund"]) == ("canceled", {"amount": "0.00", "currency": "KES"})
    await market.drain()
    for table in ("payment_intents", "ledger_transfers", "earnings_holds"):
        assert await market.value(f"SELECT count(*) FROM {table}") == 0, table


# -- changing --


async def test_what_may_be_changed_when_and_by_whom(stage: GigsStage) -> None:
    client, order = stage.client, await stage.placed()
    words = {"description": "3 flats", "address": "Hill Road 2"}
    terms: tuple[dict[str, object], ...] = (
        {"quantity": 3},
        {"scheduled_date": (stage.now + 5 * DAY).isoformat()},
    )
    stranger = await stage.market.register("otieno", "client")
    await stage.refused(edit(stage, stranger, order, **words), 404, "gigs.order_not_found")
    for change in terms:
        await stage.done(edit(stage, client, order, **change))
    changed = await stage.done(edit(stage, stage.admin, order, **words))
    assert (changed["description"], changed["address"], changed["quantity"]) == ("3 flats", "Hill Road 2", 3)

    await stage.pay(order)
    await stage.done(edit(stage, client, order, address="Hill Road 3", quantity=3))  # nothing new about the terms
    others: tuple[dict[str, object], ...] = (
        {"quantity": 2},
        {"scheduled_date": (stage.now + 6 * DAY).isoformat()},
    )
    for change in others:
        await stage.refused(edit(stage, client, order, **change), 409, "gigs.order_not_editable")
    await stage.refused(edit(stage, stage.rival, order, **words), 403, "gigs.only_clients_edit")
    await stage.market.run("gigs.assign_orders")
    await stage.refused(edit(stage, client, order, **words), 409, "gigs.order_not_editable")
    await stage.act(stage.admin, order, "assign", worker_id=str(stage.worker.id))
    await stage.refused(edit(stage, client, order, **words), 409, "gigs.order_not_editable")
    await stage.refused(edit(stage, stage.worker, order, **words), 403, "gigs.only_clients_edit")


async def test_the_price_stands_while_somebody_pays_it(stage: GigsStage) -> None:
    """And the money of a prompt that was given up goes to the wallet once the price is another one."""
    order = await stage.placed()
    reference = await prompt(stage, order, "0700000001")
    await stage.refused(edit(stage, stage.client, order, quantity=2), 409, "gigs.order_not_editable")
    assert (await stage.done(edit(stage, stage.client, order, address="Hill Road 2")))["address"] == "Hill Road 2"
    await tell(stage, reference, "FAILED")
    assert (await stage.done(edit(stage, stage.client, order, quantity=2)))["total_price"] == "5000.00"
    assert (await stage.done(edit(stage, stage.client, order, quantity=3)))["total_price"] == "7500.00"
    await tell(stage, reference)  # the phone paid after all, and a success is final
    shown = await stage.order(order)
    assert (shown["stage"], await stage.escrow(order)) == ("unpaid", 0)
    assert await stage.market.wallet(stage.client) == 2500_00
    paid = await stage.pay(order)
    assert (paid["amount"], await stage.escrow(order)) == ("7500.00", 7500_00)


# -- paying --


async def test_the_fifth_declined_attempt_is_the_last(stage: GigsStage) -> None:
    order = await stage.placed()
    assert [await decline(stage, order, DECLINED_CARD) for _ in range(5)] == [4, 3, 2, 1, 0]
    await stage.market.drain()
    shown = await stage.order(order)
    assert (shown["status"], shown["attempts_left"]) == ("pending", 0)
    for body in (card(), WALLET, mpesa()):
        pay = stage.market.post(stage.client, pay_path(order), body)
        await stage.refused(pay, 409, "gigs.attempts_exhausted")
    stage.advance(30 * MINUTE)
    assert await stage.market.run("payments.retry_failed") == 0  # CARD_DECLINED is never tried again
    stage.advance(DAY - 30 * MINUTE - SECOND)
    assert await expire(stage, order) == "unpaid"
    stage.advance(SECOND)
    assert await expire(stage, order) == "canceled"
    pay = stage.market.post(stage.client, pay_path(order), card())
    await stage.refused(pay, 409, "gigs.payment_window_closed")


async def test_an_order_is_payable_for_a_day(stage: GigsStage) -> None:
    market = stage.market
    last, late, given_up = await stage.placed(), await stage.placed(), await stage.placed()
    await stage.act(stage.client, given_up, "cancel")
    await stage.refused(market.post(stage.client, pay_path(given_up), card()), 409, "gigs.order_not_payable")
    await stage.refused(market.post(stage.client, pay_path(last), WALLET), 409, "ledger.insufficient_funds")
    stranger = await market.register("otieno", "client")
    await stage.refused(market.post(stranger, pay_path(last), card()), 404, "gigs.order_not_found")
    stage.advance(DAY - SECOND)
    await stage.pay(last)
    stage.advance(SECOND)
    await stage.refused(market.post(stage.client, pay_path(late), card()), 409, "gigs.payment_window_closed")


async def test_a_way_to_pay_that_does_not_fit_is_refused_before_anything_is_stored(stage: GigsStage) -> None:
    market = stage.market
    path = pay_path(await stage.placed())
    await stage.refused(market.post(stage.client, path, {"payment_method": "mpesa"}), 422, "payments.phone_required")
    await stage.refused(market.post(stage.client, path, card() | mpesa()), 422, "payments.raw_card_refused")
    await stage.done(market.patch(stage.worker, f"/api/services/{stage.service}", {"base_price": "99.99"}))
    order = await stage.placed()
    for body, code in (
        ({"payment_method": "cowries"}, "payments.method_unavailable"),
        (mpesa(), "payments.whole_units_required"),
        (card() | {"card_cvv": ""}, "payments.card_incomplete"),
        (card() | {"payment_method": "wallet"}, "payments.raw_card_refused"),
    ):
        before = await stage.stored()
        reply = await market.post(stage.client, pay_path(order), body)
        assert (reply.status_code, reply.json()["code"]) == (422, code), (body["payment_method"], reply.text)
        assert await stage.stored() == before
    await market.top_up(stage.client, 200)
    await stage.pay(order, WALLET)
    assert (await stage.escrow(order), await market.wallet(stage.client)) == (99_99, 100_01)


async def test_a_payment_sent_again_under_its_key_is_answered_again(stage: GigsStage) -> None:
    order = await stage.placed()
    replies = [await stage.market.post(stage.client, pay_path(order), card(), key="click-0001") for _ in range(2)]
    assert [reply.status_code for reply in replies] == [201, 201]
    assert replies[0].json() == replies[1].json()
    other = await stage.market.post(stage.client, pay_path(order), WALLET, key="click-0001")
    assert other.status_code == 422
    assert await stage.market.value("SELECT count(*) FROM payment_attempts") == 1
    assert await stage.escrow(order) == 2500_00


async def test_a_callback_that_comes_before_the_reply_pays_once(
    stage: GigsStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    market, collect = stage.market, stage.market.gateway.collect

    async def called_back_first(collection: Collection) -> Answer:
        answer = await collect(collection)
        await tell(stage, collection.reference)
        return answer

    monkeypatch.setattr(market.gateway, "collect", called_back_first)
    order = await stage.placed()
    paid = await stage.pay(order, mpesa())
    assert (paid["status"], paid["stage"]) == ("completed", "succeeded")
    assert (await stage.stages(order), await stage.escrow(order)) == (["unpaid", "unassigned"], 2500_00)
    into = await market.rows("SELECT amount FROM ledger_postings WHERE destination = $1", f"escrow:order:{order}")
    assert [row["amount"] for row in into] == [2500_00]


# -- money that is under way when the day is over --


async def test_an_attempt_under_way_is_waited_for_a_quarter_of_an_hour(stage: GigsStage) -> None:
    market, phones = stage.market, ("0700000001", "0712000002", "0712000003")
    orders = [await stage.placed() for _ in phones]
    stage.advance(DAY - 5 * MINUTE)
    asked = [await prompt(stage, order, phone) for order, phone in zip(orders, phones, strict=True)]
    in_time, refused, silent = orders
    stage.advance(5 * MINUTE)
    assert [await expire(stage, order) for order in orders] == ["unpaid"] * 3
    stage.advance(5 * MINUTE)
    await tell(stage, asked[0])
    await tell(stage, asked[1], "FAILED")
    assert [await expire(stage, order) for order in orders] == ["unassigned", "canceled", "unpaid"]
    stage.advance(10 * MINUTE - SECOND)
    assert await expire(stage, silent) == "unpaid"
    stage.advance(SECOND)
    assert await expire(stage, silent) == "canceled"
    assert await stage.stages(refused) == await stage.stages(silent) == ["unpaid", "canceled"]
    assert (await stage.escrow(in_time), await market.wallet(stage.client)) == (2500_00, 0)

    heard = len(await market.told(stage.client))
    await tell(stage, asked[2])  # too late for the order: it stays as it is
    assert (await stage.order(silent))["stage"] == "canceled"
    assert (await stage.escrow(silent), await market.wallet(stage.client)) == (0, 2500_00)
    news = (await market.told(stage.client))[heard:]
    assert len(news) == 1
    assert "wallet" in news[0][1]
    await tell(stage, asked[2])
    assert await market.wallet(stage.client) == 2500_00
