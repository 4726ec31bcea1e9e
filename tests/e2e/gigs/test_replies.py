"""What a change answers is what a look at the order shows afterwards, to the letter."""

from datetime import timedelta, timezone

import pytest

from tests.e2e.gigs.stage import GigsStage


@pytest.mark.parametrize("price", ["2500.00", "0.00"])
async def test_a_placed_order_is_answered_as_it_is_read(stage: GigsStage, price: str) -> None:
    edited = await stage.market.patch(stage.worker, f"/api/services/{stage.service}", {"base_price": price})
    assert edited.status_code == 200, edited.text
    nairobi = (stage.now + timedelta(days=3)).astimezone(timezone(timedelta(hours=3)))
    body = stage.wanted(quantity=2, expected_total=None, scheduled_date=nairobi.isoformat())
    placed = await stage.done(stage.market.post(stage.client, "/api/orders/create", body), 201)
    assert placed["scheduled_date"] == (stage.now + timedelta(days=3)).isoformat().replace("+00:00", "Z")
    assert placed == await stage.order(placed["id"], stage.client)
