"""Wallets, withdrawals and the books over HTTP: journeys C2 (6) and C3, and who may see what."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from domain.core.kernel.ids import AccountId
from domain.core.ledger.accounts import OPERATING, AccountRef
from domain.core.ledger.transfer import TransferKind
from tests.contract.core.ledger import CLEARING, post, transfer
from tests.e2e.market import Market, Person
from tests.oracle import assert_sound

PHONE = {"destination": {"phone": "0712345678"}}


async def give(market: Market, person: Person, minor: int, reference: str = "gift:1") -> None:
    """Have money in a wallet."""
    arrival = transfer(reference, (CLEARING, AccountRef.wallet(person.id), minor), kind=TransferKind.TOPUP)
    await post(market.adapters.ledger_units, arrival)


async def wallet(market: Market, person: Person) -> dict[str, Any]:
    reply = await market.get(person, "/api/wallet")
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


async def proof(market: Market, admin: Person) -> dict[str, Any]:
    reply = await market.get(admin, "/api/admin/ledger/proof")
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


@contextmanager
def round_trips(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Count what is sent to the database."""
    sent: list[str] = []
    with monkeypatch.context() as patched:
        for name in ("fetch", "fetchrow", "fetchval", "execute"):
            original = getattr(asyncpg.Connection, name)

            def counted(self: Any, sql: str, *arguments: Any, _original: Any = original, **more: Any) -> Any:
                sent.append(sql)
                return _original(self, sql, *arguments, **more)

            patched.setattr(asyncpg.Connection, name, counted)
        yield sent


class TestWallet:
    async def test_a_fresh_account_has_an_empty_wallet(self, market: Market) -> None:
        ada = await market.register("ada")
        body = await wallet(market, ada)
        updated_at = body["wallets"][0]["updated_at"]
        empty = {
            "balance": "0.00", "currency": "KES", "pending": "0.00", "reserved": "0.00", "held": "0.00",
            "updated_at": updated_at,
        }  # fmt: skip
        assert body == {**empty, "wallets": [empty]}
        assert (await market.http.get("/api/wallet")).status_code == 401

    async def test_each_currency_is_listed_and_escrows_are_held(self, market: Market) -> None:
        ada = await market.register("ada")
        await give(market, ada, 1000_00)
        own = AccountRef.wallet(ada.id)
        await post(
            market.adapters.ledger_units,
            transfer("t:1", (own, AccountRef.escrow("task", ada.id), 300_00), kind=TransferKind.HOLD),
            transfer("t:2", (CLEARING, own, 7), currency="UGX"),
        )
        body = await wallet(market, ada)
        assert (body["balance"], body["held"]) == ("700.00", "300.00")
        assert [(one["currency"], one["balance"]) for one in body["wallets"]] == [("KES", "700.00"), ("UGX", "7")]

    async def test_reading_it_is_one_round_trip(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        ada = await market.register("ada", "writer")
        await give(market, ada, 1000_00)
        for path in ("/api/wallet", "/api/wallet/entries", "/api/earnings", "/api/withdrawals"):
            with round_trips(monkeypatch) as sent:
                assert (await market.get(ada, path)).status_code == 200
            assert len(sent) == 1, (path, sent)

    async def test_entries_say_in_and_out_and_can_be_filtered(self, market: Market) -> None:
        ada = await market.register("ada")
        await give(market, ada, 1000_00)
        hold = transfer(
            "t:1", (AccountRef.wallet(ada.id), AccountRef.escrow("task", ada.id), 300_00), kind=TransferKind.HOLD
        )
        await post(market.adapters.ledger_units, hold)
        listed = (await market.get(ada, "/api/wallet/entries")).json()
        assert (listed["next"], listed["previous"]) == (None, None)
        held, topped_up = listed["results"]
        assert held == {
            "id": str(hold.id), "type": "HOLD", "direction": "out", "amount": "300.00", "currency": "KES",
            "reference": "t:1", "subject": "test:1", "created_at": "2026-03-02T12:00:00Z",
        }  # fmt: skip
        assert (topped_up["type"], topped_up["direction"], topped_up["amount"]) == ("TOPUP", "in", "1000.00")
        for filters, found in (({"type": "HOLD"}, 1), ({"currency": "usd"}, 0), ({"currency": "kes"}, 2)):
            page = (await market.get(ada, "/api/wallet/entries", **filters)).json()
            assert len(page["results"]) == found, filters
        first = (await market.get(ada, "/api/wallet/entries", limit=1, type="HOLD")).json()
        assert first["next"] is None
        first = (await market.get(ada, "/api/wallet/entries", limit=1, currency="KES")).json()
        assert "currency=KES" in first["next"]
        second = await market.http.get(first["next"], headers=market.headers(ada))
        assert second.json()["results"] == [topped_up]
        for wrong in ({"type": "NONSENSE"}, {"currency": "K"}, {"cursor": "nonsense"}, {"limit": 101}):
            assert (await market.get(ada, "/api/wallet/entries", **wrong)).status_code == 422, wrong

    async def test_earnings_are_for_those_who_can_earn(self, market: Market) -> None:
        writer, student = await market.register("writer_one", "writer"), await market.register("ada", "student")
        release = transfer("r:1", (CLEARING, AccountRef.wallet(writer.id), 1190_00), kind=TransferKind.PAYMENT_RELEASE)
        await post(market.adapters.ledger_units, replace(release, area="assignments"))
        assert (await market.get(writer, "/api/earnings")).json() == {
            "total": "1190.00", "currency": "KES", "pending": "0.00", "available": "1190.00", "held": "0.00",
            "by_area": {"assignments": "1190.00", "gigs": "0.00", "tutoring": "0.00"},
        }  # fmt: skip
        refused = await market.get(student, "/api/earnings")
        assert (refused.status_code, refused.json()["code"]) == (403, "identity.role_required")
        unknown = await market.get(writer, "/api/earnings", currency="XXX")
        assert (unknown.status_code, unknown.json()["code"]) == (422, "payments.currency_not_supported")


class TestBooks:
    async def test_a_funding_is_made_once_per_reference(self, market: Market) -> None:
        admin = await market.register("boss", "admin")
        body = {"amount": "5000.00", "reference": "bank-77", "note": "float"}
        made = await market.post(admin, "/api/admin/ledger/fundings", body)
        assert made.status_code == 201, made.text
        assert made.json() | {"id": ""} == {"id": "", "amount": "5000.00", "currency": "KES", "balance": "5000.00"}
        again = await market.post(admin, "/api/admin/ledger/fundings", body)
        assert (again.status_code, again.json()) == (200, made.json())
        other = await market.post(admin, "/api/admin/ledger/fundings", body | {"amount": 1})
        assert (other.status_code, other.json()["code"]) == (409, "ledger.reference_conflict")
        assert await market.balance(OPERATING.name) == 5000_00
        audited = await market.rows("SELECT action, reason, actor_id FROM audit_entries WHERE action = 'FUND_ACCOUNT'")
        [entry] = audited
        assert (entry["action"], entry["reason"], entry["actor_id"]) == ("FUND_ACCOUNT", "float", admin.id)

    async def test_twenty_fundings_at_once_under_one_reference_are_one(self, market: Market) -> None:
        admin = await market.register("boss", "admin")
        body = {"amount": "5000.00", "reference": "bank-77"}
        replies = await asyncio.gather(*(market.post(admin, "/api/admin/ledger/fundings", body) for _ in range(20)))
        assert sorted(reply.status_code for reply in replies) == [200] * 19 + [201]
        assert len({reply.json()["id"] for reply in replies}) == 1
        assert await market.balance(OPERATING.name) == 5000_00

    @pytest.mark.parametrize("wrong", [{"amount": 0}, {"reference": ""}, {"reference": "x" * 81}, {"currency": "XXX"}])
    async def test_a_funding_that_breaks_a_rule_is_refused(self, market: Market, wrong: dict[str, Any]) -> None:
        admin = await market.register("boss", "admin")
        body = {"amount": "5000.00", "reference": "bank-77"} | wrong
        assert (await market.post(admin, "/api/admin/ledger/fundings", body)).status_code == 422
        assert await market.balance(OPERATING.name) == 0

    async def test_the_books_are_for_administrators(self, market: Market) -> None:
        ada = await market.register("ada", "student")
        assert (await market.get(ada, "/api/admin/ledger/proof")).status_code == 403
        assert (await market.post(ada, "/api/admin/ledger/fundings", {})).status_code == 403

    async def test_a_top_up_leaves_the_books_balanced(self, market: Market) -> None:
        """C2 (6)."""
        ada, admin = await market.register("ada"), await market.register("boss", "admin")
        await market.top_up(ada, 2799)
        assert (await wallet(market, ada))["balance"] == "2799.00"
        assert await market.balance("clearing:lipana") == -2799_00
        assert await proof(market, admin) == {
            "balanced": True, "assets": [{"asset": "KES", "sum": "0.00"}], "broken": []
        }  # fmt: skip

    async def test_the_proof_names_what_is_broken(self, market: Market, database_dsn: str) -> None:
        ada, admin = await market.register("ada"), await market.register("boss", "admin")
        await give(market, ada, 1000_00)
        superuser = await asyncpg.connect(database_dsn)
        await superuser.execute("UPDATE ledger_balances SET balance = 1 WHERE account LIKE 'wallet:%' AND balance > 0")
        await superuser.close()
        found = await proof(market, admin)
        assert found["balanced"] is False
        assert [(one["kind"], one["name"]) for one in found["broken"]] == [("balance_differs", f"wallet:user:{ada.id}")]
        assert found["assets"] == [{"asset": "KES", "sum": "-999.99"}]
        past = await market.get(admin, "/api/admin/ledger/proof", as_of="2026-03-02T13:00:00Z")
        assert past.json() == {"balanced": True, "assets": [{"asset": "KES", "sum": "0.00"}], "broken": []}
        naive = await market.get(admin, "/api/admin/ledger/proof", as_of="2026-03-02T13:00:00")
        assert naive.status_code == 422


class TestWithdrawals:
    async def test_a_withdrawal_from_request_to_payment(self, market: Market) -> None:
        """C3, with nobody to pay out but a person."""
        market.gateway.can_pay_out = False
        writer, admin = await market.register("writer_one", "writer"), await market.register("boss", "admin")
        await give(market, writer, 1190_00)
        await market.execute("UPDATE accounts SET claimed_phone = '+254733000222' WHERE id = $1", writer.id)
        ask = {"amount": "1000.00"}
        replies = await asyncio.gather(*(market.post(writer, "/api/withdrawals/request", ask) for _ in range(2)))
        made, refused = sorted(replies, key=lambda reply: reply.status_code)
        assert (made.status_code, refused.status_code) == (201, 409)
        assert refused.json()["code"] == "ledger.insufficient_funds"
        assert made.json()["destination"] == {"phone": "+254733000222"}
        body = await wallet(market, writer)
        assert (body["balance"], body["reserved"]) == ("190.00", "1000.00")
        action = f"/api/admin/withdrawals/{made.json()['id']}/action"
        approved = (await market.post(admin, action, {"action": "approve"})).json()
        assert (approved["status"], approved["stage"]) == ("APPROVED", "approved")
        await market.run("payments.run_payouts")
        [listed] = (await market.get(writer, "/api/withdrawals")).json()["results"]
        assert (listed["status"], listed["stage"]) == ("APPROVED", "processing")
        done = await market.post(admin, action, {"action": "complete", "reference": "QFX12ABC34"})
        assert (done.json()["stage"], done.json()["reference"]) == ("completed", "QFX12ABC34")
        assert (await wallet(market, writer))["reserved"] == "0.00"
        assert await market.balance("clearing:payouts") == 1000_00
        second = (await market.post(writer, "/api/withdrawals/request", {"amount": 150})).json()
        rejected = await market.post(
            admin, f"/api/admin/withdrawals/{second['id']}/action", {"action": "reject", "note": "wrong number"}
        )
        assert (rejected.json()["status"], rejected.json()["note"]) == ("REJECTED", "wrong number")
        assert (await wallet(market, writer))["balance"] == "190.00"
        assert (await proof(market, admin))["balanced"] is True
        audited = await market.rows(
            "SELECT after->>'stage' AS stage FROM audit_entries WHERE action = 'WITHDRAWAL_ACTION' ORDER BY id"
        )
        assert [row["stage"] for row in audited] == ["approved", "completed", "rejected"]
        await market.drain()
        assert [title for title, _ in await market.told(writer) if title.startswith("Withdrawal")] == [
            "Withdrawal to a new destination",
            "Withdrawal approved",
            "Withdrawal paid",
            "Withdrawal requested",
            "Withdrawal refused",
        ]
        await assert_sound(market.database, market.clock)

    async def test_what_was_paid_by_hand_and_came_back_is_in_the_wallet_again(self, market: Market) -> None:
        market.gateway.can_pay_out = False
        writer, admin = await market.register("writer_one", "writer"), await market.register("boss", "admin")
        await give(market, writer, 1190_00)
        made = (await market.post(writer, "/api/withdrawals/request", {"amount": 1000, **PHONE})).json()
        action = f"/api/admin/withdrawals/{made['id']}/action"
        early = await market.post(admin, action, {"action": "fail"})
        assert (early.status_code, early.json()["code"]) == (409, "payments.withdrawal_wrong_state")
        await market.post(admin, action, {"action": "approve"})
        unproven = await market.post(admin, action, {"action": "complete"})
        assert (unproven.status_code, unproven.json()["errors"][0]["field"]) == (422, "reference")
        await market.post(admin, action, {"action": "complete", "reference": "QFX12ABC34"})
        failed = await market.post(admin, action, {"action": "fail", "note": "the number is closed"})
        assert (failed.json()["status"], failed.json()["stage"]) == ("APPROVED", "failed")
        again = await market.post(admin, action, {"action": "fail", "note": "the number is closed"})
        assert (again.status_code, again.json()) == (200, failed.json())
        body = await wallet(market, writer)
        assert (body["balance"], body["reserved"]) == ("1190.00", "0.00")
        assert await market.balance("clearing:payouts") == 0
        await market.drain()
        assert (await market.told(writer))[-1][0] == "Withdrawal returned"
        listed = (await market.get(writer, "/api/notifications")).json()["results"]
        assert {one["category"] for one in listed if "ithdrawal" in one["title"]} == {"withdrawal", "security"}

    async def test_a_changed_destination_is_accepted_now_and_paid_after_72_hours(self, market: Market) -> None:
        writer, admin = await market.register("writer_one", "writer"), await market.register("boss", "admin")
        await give(market, writer, 1190_00)
        other, action = {"destination": {"phone": "0722000111"}}, ""
        for where in (PHONE, other):
            made = (await market.post(writer, "/api/withdrawals/request", {"amount": 100, **where})).json()
            action = f"/api/admin/withdrawals/{made['id']}/action"
            assert (await market.post(admin, action, {"action": "approve"})).status_code == 200
            await market.run("payments.run_payouts")
        assert [one.phone for one in market.gateway.payouts] == ["+254712345678"]
        [seen, _] = (await market.get(admin, "/api/admin/withdrawals")).json()["results"]
        assert (seen["stage"], seen["payable_at"]) == ("approved", "2026-03-05T08:00:00Z")
        assert seen["risk"]["destinations_used"] == 2
        by_hand = await market.post(admin, action, {"action": "complete", "reference": "QFX12ABC34"})
        assert (by_hand.status_code, by_hand.json()["code"]) == (409, "payments.withdrawal_wrong_state")
        market.clock.advance(timedelta(hours=72))
        await market.run("payments.run_payouts")
        assert [one.phone for one in market.gateway.payouts] == ["+254712345678", "+254722000111"]
        await assert_sound(market.database, market.clock)

    async def test_refusals_of_a_request_say_what_is_wrong_and_move_nothing(self, market: Market) -> None:
        ada = await market.register("ada")
        await give(market, ada, 1190_00)
        for body, status, code in (
            ({"amount": "99.00", **PHONE}, 422, "payments.amount_below_minimum"),
            ({"amount": "100.50", **PHONE}, 422, "payments.whole_units_required"),
            ({"amount": "1191.00", **PHONE}, 409, "ledger.insufficient_funds"),
            ({"amount": "100.00", "destination": {"phone": "+14155550100"}}, 422, "payments.destination_invalid"),
            ({"amount": "100.00", "method": "paypal", **PHONE}, 422, "payments.method_unavailable"),
            ({"amount": "100.00", "currency": "USD", **PHONE}, 422, "payments.currency_not_supported"),
            ({"amount": "NaN", **PHONE}, 422, "kernel.invalid_amount"),
        ):
            refused = await market.post(ada, "/api/withdrawals/request", body)
            assert (refused.status_code, refused.json()["code"]) == (status, code), body
        await post(market.adapters.ledger_units, transfer("o:1", (AccountRef.owed(ada.id), CLEARING, 5)))
        owing = await market.post(ada, "/api/withdrawals/request", {"amount": 100, **PHONE})
        assert (owing.status_code, owing.json()["code"], owing.json()["owed"]) == (409, "payments.balance_owed", "0.05")
        assert (await market.post(None, "/api/withdrawals/request", {"amount": 100, **PHONE})).status_code == 401
        assert await market.wallet(ada) == 1190_00
        assert await market.value("SELECT count(*) FROM withdrawals") == 0

    async def test_a_request_with_a_key_sent_twice_is_one_withdrawal(self, market: Market) -> None:
        ada = await market.register("ada")
        await give(market, ada, 1190_00)
        ask = {"amount": 100, **PHONE}
        first, again = [await market.post(ada, "/api/withdrawals/request", ask, key="w-1") for _ in range(2)]
        assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
        assert await market.wallet(ada) == 1090_00

    async def test_a_gateway_pays_out_what_was_approved(self, market: Market) -> None:
        writer, admin = await market.register("writer_one", "writer"), await market.register("boss", "admin")
        await give(market, writer, 1190_00)
        made = (await market.post(writer, "/api/withdrawals/request", {"amount": 1000, **PHONE})).json()
        await market.post(admin, f"/api/admin/withdrawals/{made['id']}/action", {"action": "approve"})
        await market.run("payments.run_payouts")
        market.clock.advance(timedelta(seconds=75))
        await market.run("payments.run_payouts")
        [listed] = (await market.get(writer, "/api/withdrawals")).json()["results"]
        assert listed["stage"] == "completed"
        assert [(one.phone, one.amount.minor) for one in market.gateway.payouts] == [("+254712345678", 1000_00)]

    async def test_the_phone_of_the_profile_is_the_destination_where_none_is_named(self, market: Market) -> None:
        ada = await market.register("ada")
        await give(market, ada, 1190_00)
        refused = await market.post(ada, "/api/withdrawals/request", {"amount": 1000})
        assert (refused.status_code, refused.json()["code"]) == (422, "payments.destination_invalid")
        await market.execute("UPDATE accounts SET claimed_phone = '+254733000222' WHERE id = $1", ada.id)
        made = await market.post(ada, "/api/withdrawals/request", {"amount": 1000})
        assert (made.status_code, made.json()["destination"]) == (201, {"phone": "+254733000222"})

    async def test_an_owner_cancels_his_own_and_finds_nobody_elses(self, market: Market) -> None:
        ada, ben = await market.register("ada"), await market.register("ben")
        await give(market, ada, 1190_00)
        made = (await market.post(ada, "/api/withdrawals/request", {"amount": 1000, **PHONE})).json()
        path = f"/api/withdrawals/{made['id']}/cancel"
        assert (await market.post(ben, path)).status_code == 404
        assert (await market.get(ben, "/api/withdrawals")).json()["results"] == []
        assert (await market.post(ada, path)).json()["status"] == "CANCELLED"
        assert (await wallet(market, ada))["balance"] == "1190.00"

    async def test_an_administrator_reviews_with_the_risk_in_sight_and_never_his_own(self, market: Market) -> None:
        ada, admin = await market.register("ada"), await market.register("boss", "admin")
        await give(market, ada, 1190_00)
        await give(market, admin, 1000_00, "gift:2")
        await market.execute("UPDATE accounts SET verified_phone = '+254712345678' WHERE id = $1", ada.id)
        made = (await market.post(ada, "/api/withdrawals/request", {"amount": 1000, **PHONE})).json()
        await post(market.adapters.ledger_units, transfer("o:1", (AccountRef.owed(ada.id), CLEARING, 5)))
        [seen] = (await market.get(admin, "/api/admin/withdrawals", status="PENDING")).json()["results"]
        assert seen["owner"] == {
            "id": str(ada.id), "username": "ada", "email_verified": False, "phone_verified": True
        }  # fmt: skip
        assert seen["risk"] == {
            "destination_verified": True, "destination_first_used_at": made["created_at"], "destinations_used": 1,
            "owed": "0.05",
        }  # fmt: skip
        assert (await market.get(admin, "/api/admin/withdrawals", status="REJECTED")).json()["results"] == []
        assert (await market.get(ada, "/api/admin/withdrawals")).status_code == 403
        own = (await market.post(admin, "/api/withdrawals/request", {"amount": 100, **PHONE})).json()
        refused = await market.post(admin, f"/api/admin/withdrawals/{own['id']}/action", {"action": "approve"})
        assert (refused.status_code, refused.json()["code"]) == (403, "payments.own_withdrawal")
        unknown = await market.post(admin, f"/api/admin/withdrawals/{AccountId(ada.id)}/action", {"action": "approve"})
        assert unknown.status_code == 404
        nonsense = await market.post(admin, f"/api/admin/withdrawals/{own['id']}/action", {"action": "steal"})
        assert nonsense.status_code == 422
