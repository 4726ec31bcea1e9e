"""What somebody tries who wants money through the callbacks of payment providers."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from infrastructure.providers.asking import Patience
from tests.e2e.core.payments_bench import payments_bench
from tests.integration.paypal.bench import CALLBACK_PATH, PayPalBench, paypal_bench
from tests.integration.stripe.bench import StripeBench, stripe_bench


@pytest.fixture
async def stripe() -> AsyncIterator[StripeBench]:
    async with stripe_bench(Patience(total_timeout_s=3)) as bench:
        yield bench


@pytest.fixture
async def paypal() -> AsyncIterator[PayPalBench]:
    async with paypal_bench(patience=Patience(total_timeout_s=2.0)) as bench:
        yield bench


async def test_what_one_provider_says_of_an_attempt_of_another_is_not_about_it(
    stripe: StripeBench, database_url: str
) -> None:
    """The ids of attempts stand in the metadata of a provider's account, where others may write too."""
    async with payments_bench(database_url, clock=stripe.clock, provider=stripe.gateway) as server:
        told = (await server.top_up(100)).json()
        await stripe.client.get(told["next_url"])
        async with server.database.connection() as connection:
            await connection.execute(
                "UPDATE payment_attempts SET gateway = 'paypal', transaction_id = NULL, checkout_id = 'O-1'"
            )
        event = stripe.simulator.books.events[0]
        assert b"payment_intent.succeeded" in event.body
        reply = await server.client.post(
            "/api/payments/stripe/callback", content=event.body, headers=stripe.simulator.signed(event.body)
        )
        assert reply.json() == {"detail": "accepted"}
        assert (await server.status(told["reference"]))["stage"] == "pending"
        assert (await server.wallet(), await server.balance("clearing:paypal")) == (0, 0)
        [attempt] = await server.rows("SELECT transaction_id, receipt FROM payment_attempts")
        assert attempt == {"transaction_id": None, "receipt": None}
        # money that a provider signed for is not lost: in the end it waits for staff
        server.clock.advance(timedelta(days=3))
        await server.run("payments.apply_events")
        assert await server.balance("suspense:stripe") == 100_00
        assert [row["kind"] for row in await server.rows("SELECT kind FROM payment_cases")] == ["unknown_reference"]
        assert await server.wallet() == 0


class Watched(dict[str, bytes]):
    """Certificates that count how often somebody asks for one."""

    asked = 0

    def get(self, name: str, default: bytes | None = None) -> bytes | None:  # type: ignore[override]
        self.asked += 1
        return super().get(name, default)


async def test_made_up_certificates_do_not_have_the_provider_asked_without_end(
    paypal: PayPalBench, database_url: str
) -> None:
    """Whoever sends anything at all names the certificate to check it with; genuine events are heard meanwhile."""
    async with payments_bench(database_url, clock=paypal.clock, provider=paypal.gateway) as server:
        paypal.catcher.server = server.client
        body = {"amount": "25.00", "currency": "USD"}
        told = (await server.client.post("/api/wallet/topup", json=body, headers=server.headers())).json()
        await paypal.client.get(told["next_url"] + "&stay=1")
        assert await paypal.simulator.deliver(told["reference"]) == 1
        paypal.simulator.certificates = watched = Watched(paypal.simulator.certificates)
        [genuine] = paypal.catcher.caught
        address = genuine.headers["paypal-cert-url"]
        replies = []
        for number in range(40):
            forged = genuine.headers | {"paypal-cert-url": f"{address}-{number}"}
            replies.append((await server.client.post(CALLBACK_PATH, content=b"{}", headers=forged)).status_code)
        assert set(replies) <= {401, 503}
        assert 0 < watched.asked <= 20
        asked = watched.asked
        for name in ("..", ".", "%2e%2e", "a/../../../../v2/checkout/orders", "a?b", "a#b", "a\t"):
            forged = genuine.headers | {"paypal-cert-url": address.rpartition("/")[0] + "/" + name}
            assert (await server.client.post(CALLBACK_PATH, content=b"{}", headers=forged)).status_code in {401, 503}
        assert watched.asked == asked
        later = genuine.body.replace(b"{", b"{ ", 1)  # one that is not signed, under the certificate that is known
        refused = await server.client.post(CALLBACK_PATH, content=later, headers=genuine.headers)
        again = await server.client.post(CALLBACK_PATH, content=genuine.body, headers=genuine.headers)
        assert (refused.status_code, again.status_code, again.json()["detail"]) == (401, 200, "already processed")
        server.clock.advance(timedelta(minutes=2))
        forged = genuine.headers | {"paypal-cert-url": f"{address}-new"}
        assert (await server.client.post(CALLBACK_PATH, content=b"{}", headers=forged)).status_code == 401
