"""What a worker delivers: who may open it, and what is refused leaves nothing."""

from datetime import timedelta

from tests.e2e.gigs.stage import GigsStage

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(64)


async def test_files_of_a_delivery_are_for_those_on_the_order(stage: GigsStage) -> None:
    market = stage.market
    order = await stage.assigned()
    reply = await market.send_form(
        stage.worker, f"/api/orders/{order}/deliver", {"note": "done"}, ("files", "after.png", PICTURE)
    )
    assert reply.status_code == 200, reply.text
    [shown] = reply.json()["files"]
    assert (shown["name"], shown["content_type"], shown["size"]) == ("after.png", "image/png", len(PICTURE))
    assert (await stage.order(order))["status_history"][-1]["comment"] == "done"
    address = f"/api/files/{shown['id']}"
    for person, status in ((stage.client, 200), (stage.worker, 200), (stage.admin, 200), (stage.rival, 404)):
        assert (await market.get(person, address)).status_code == status, person.username
    assert (await market.get(stage.client, address)).content == PICTURE


async def test_who_cannot_deliver_leaves_no_file(stage: GigsStage) -> None:
    market = stage.market
    order = await stage.paid(ahead=timedelta(days=2))
    before = await stage.stored()
    reply = await market.send_form(
        stage.worker, f"/api/orders/{order}/deliver", {"note": "done"}, ("files", "after.png", PICTURE)
    )
    assert (reply.status_code, reply.json()["code"]) == (409, "gigs.transition_not_allowed")
    assert await stage.stored() == before
    assert market.stored_files() == []
