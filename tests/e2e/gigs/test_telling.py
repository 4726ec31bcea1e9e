"""Who hears of what about an order, once, and never an address or a phone; and that a step undone tells nobody."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import asyncpg

from tests.e2e.gigs.stage import EMPTY_CARD, GigsStage, card
from tests.e2e.market import Person

PHONE = "0700000001"


@dataclass(slots=True)
class News:
    """What each person was told since one last asked, by title."""

    stage: GigsStage
    heard: Counter[str] = field(default_factory=Counter)

    async def __call__(self) -> dict[str, list[str]]:
        """Deliver what waits and return what is new."""
        await self.stage.market.drain()
        told = {}
        for person in self.stage.market.people.values():
            titles = [title for title, _ in await self.stage.market.told(person)]
            if new := titles[self.heard[person.username] :]:
                told[person.username] = sorted(new)
            self.heard[person.username] = len(titles)
        return told


async def news_of(stage: GigsStage) -> News:
    """Return what will be new from now on."""
    news = News(stage)
    await news()
    return news


async def last_message(stage: GigsStage, person: Person) -> str:
    return (await stage.market.told(person))[-1][1]


async def test_every_step_tells_those_whom_it_concerns_once(stage: GigsStage) -> None:
    """The client is njeri, kamau and atieno do the service; nobody reads an address or a phone in any of it."""
    market, news = stage.market, await news_of(stage)
    order = await stage.placed()
    assert await news() == {"njeri": ["Order placed"]}
    declined = await market.post(stage.client, f"/api/payments/order/{order}/pay", card(EMPTY_CARD))
    assert declined.status_code == 422
    assert await news() == {"njeri": ["Order not paid", "Payment not completed"]}
    assert "4 more times" in " ".join(message for _, message in await market.told(stage.client))
    await stage.pay(order, {"payment_method": "mpesa", "phone": PHONE})
    assert await news() == {}
    reference = await market.value("SELECT reference FROM payment_intents WHERE subject = $1", order)
    for _ in range(2):  # a provider says it as often as it likes
        await market.lipana({"reference": reference, "status": "SUCCESS", "amount": 2500})
    assert await news() == {
        "njeri": ["Payment received"],
        "kamau": ["New order available"],
        "atieno": ["New order available"],
    }
    await stage.done(market.patch(stage.rival, "/api/auth/worker-profile", {"is_available": False}))
    await market.run("gigs.assign_orders")
    assert await news() == {"kamau": ["An order is offered to you"]}
    await stage.act(stage.worker, order, "offer/accept")
    assert await news() == {"njeri": ["A worker is assigned"]}
    await stage.act(stage.admin, order, "assign", worker_id=str(stage.rival.id))
    assert await news() == {
        "njeri": ["A worker is assigned"],
        "kamau": ["Order given to another"],
        "atieno": ["An order is assigned to you"],
    }
    await stage.done(stage.word(stage.admin, order, "paid"), 201)
    assert await news() == {"njeri": ["A worker is looked for"], "atieno": ["Taken off an order"]}
    await stage.act(stage.worker, order, "assign")
    assert await news() == {"njeri": ["A worker is assigned"]}
    await stage.act(stage.worker, order, "withdraw")
    assert await news() == {"njeri": ["A worker is looked for"]}
    await stage.act(stage.worker, order, "assign")
    await news()
    await stage.act(stage.worker, order, "start")
    assert await news() == {"njeri": ["Work started"]}
    await stage.act(stage.worker, order, "deliver")
    assert await news() == {"njeri": ["Work delivered"]}
    await stage.act(stage.client, order, "request-changes", reason="the oven")
    assert await news() == {"kamau": ["Changes requested"]}
    assert "the oven" in await last_message(stage, stage.worker)
    await stage.act(stage.worker, order, "deliver")
    await news()
    await stage.act(stage.client, order, "accept")
    assert await news() == {"kamau": ["Order completed"]}
    assert "2125.00" in await last_message(stage, stage.worker)

    silent = await stage.delivered()
    await news()
    stage.advance(timedelta(hours=72))
    await market.run("gigs.accept_silently")
    assert await news() == {"njeri": ["Order completed"], "kamau": ["Order completed"]}
    payment = (await stage.order(silent))["payment_id"]
    ask = {"amount": "100.00", "reason": "one room missed"}
    await stage.done(market.post(stage.admin, f"/api/payments/{payment}/refund", ask))
    assert await news() == {"njeri": ["Payment refunded"], "kamau": ["Order refunded"]}

    for row in await market.rows("SELECT concat_ws(' ', title, message, link, metadata::text) AS text FROM notices"):
        for secret in ("Market Street", PHONE[1:], "4242", "9995"):
            assert secret not in row["text"]


async def test_whoever_loses_an_order_hears_of_it(stage: GigsStage) -> None:
    market, news = stage.market, await news_of(stage)
    await stage.done(market.patch(stage.rival, "/api/auth/worker-profile", {"is_available": False}))
    offered, canceled = await stage.paid(), await stage.paid(ahead=timedelta(days=9))
    await market.run("gigs.assign_orders")
    await news()
    payment = (await stage.order(offered))["payment_id"]
    await stage.done(market.post(stage.admin, f"/api/payments/{payment}/refund", {"reason": "sorry"}))
    assert await news() == {"njeri": ["Payment refunded"], "kamau": ["Order refunded"]}
    await stage.act(stage.client, canceled, "cancel", reason="found somebody")
    assert await news() == {"njeri": ["Payment refunded"], "kamau": ["Order canceled"]}
    assigned = await stage.assigned()
    await news()
    await stage.act(stage.admin, assigned, "cancel", reason="a dispute")
    assert await news() == {"njeri": ["Order canceled", "Payment refunded"], "kamau": ["Order canceled"]}
    unpaid = await stage.placed()
    await news()
    stage.advance(timedelta(days=1))
    await market.run("gigs.expire_unpaid")
    assert await news() == {"njeri": ["Order canceled"]}
    assert (await stage.order(unpaid))["stage"] == "canceled"


async def test_a_blocked_worker_hears_of_no_new_order(stage: GigsStage) -> None:
    blocked = await stage.market.post(stage.client, "/api/users/block", {"user_id": str(stage.rival.id)})
    assert blocked.status_code == 201
    news = await news_of(stage)
    await stage.paid()
    assert await news() == {"njeri": ["Order placed", "Payment received"], "kamau": ["New order available"]}


async def test_a_step_that_is_undone_tells_nobody(stage: GigsStage, database_dsn: str) -> None:
    order = await stage.delivered()
    news, before = await news_of(stage), await stage.stored()
    database = await asyncpg.connect(database_dsn)
    await database.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;"
        " CREATE CONSTRAINT TRIGGER no AFTER INSERT ON ledger_transfers DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    for step in (
        stage.step(stage.client, order, "accept"),
        stage.step(stage.admin, order, "cancel", reason="a dispute"),
    ):
        assert (await step).status_code >= 500
        assert await stage.stored() == before
    assert await news() == {}
    await database.execute("DROP FUNCTION refuse CASCADE")
    await database.close()
    await stage.act(stage.client, order, "accept")
    assert await news() == {"kamau": ["Order completed"]}
