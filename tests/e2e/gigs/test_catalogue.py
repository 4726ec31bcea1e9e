"""The catalogue over HTTP: categories, services, worker profiles, and what of them anybody sees."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from application.gigs.queries import OfferingOrder
from tests.e2e.market import Market, Person

DEEP_CLEAN = {"name": "Deep clean", "description": "Per flat", "base_price": "2500.00", "duration_hours": 2}
SERVICES, WORKERS, PROFILE = "/api/services", "/api/workers", "/api/auth/worker-profile"
NOTHING = "0195f3a0-7c00-7000-8000-00000000dead"
TABLES = ("audit_entries", "offering_categories", "offerings", "worker_profiles", "worker_specializations")


@dataclass(slots=True, kw_only=True)
class Catalogue:
    """An administrator, two workers and a client, and one category."""

    market: Market
    admin: Person
    worker: Person
    rival: Person
    client: Person
    category: str

    async def send(self, person: Person | None, method: str, path: str, body: object = None) -> httpx.Response:
        headers = {} if person is None else self.market.headers(person)
        return await self.market.http.request(method, path, json=body, headers=headers)

    async def list_service(self, **fields: object) -> dict[str, Any]:
        """Have the worker list a service."""
        reply = await self.market.post(self.worker, SERVICES, {**DEEP_CLEAN, "category_id": self.category, **fields})
        assert reply.status_code == 201, reply.text
        return dict(reply.json())

    async def found(self, path: str = SERVICES, **parameters: Any) -> list[str]:
        """Return the names, or the usernames, of what a list shows anybody."""
        reply = await self.market.get(None, path, **parameters)
        assert reply.status_code == 200, reply.text
        return [one.get("name") or one["user"]["username"] for one in reply.json()["results"]]

    async def stored(self) -> tuple[object, ...]:
        return tuple([await self.market.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES])

    async def refused(self, reply: httpx.Response, status: int, code: str, *fields: str) -> dict[str, Any]:
        """Hold that a reply is this refusal, of these fields."""
        problem: dict[str, Any] = reply.json()
        assert (reply.status_code, problem["code"]) == (status, code), reply.text
        assert {one["field"] for one in problem.get("errors", ())} == set(fields), reply.text
        return problem


@pytest.fixture
async def catalogue(market: Market) -> Catalogue:
    admin = await market.register("ann", "admin")
    people = [
        await market.register(name, role)
        for name, role in (("wanja", "worker"), ("otieno", "worker"), ("carol", "client"))
    ]
    body = {"name": "Cleaning", "description": "Homes and offices", "icon": "broom"}
    reply = await market.post(admin, f"{SERVICES}/categories", body)
    assert reply.status_code == 201, reply.text
    category = reply.json()
    assert category == {"id": category["id"], **body}
    return Catalogue(
        market=market, admin=admin, worker=people[0], rival=people[1], client=people[2], category=category["id"]
    )


async def test_administrators_add_categories_and_no_name_twice(catalogue: Catalogue) -> None:
    market, path = catalogue.market, f"{SERVICES}/categories"
    before = await catalogue.stored()
    for person in (catalogue.worker, catalogue.client):
        await catalogue.refused(await market.post(person, path, {"name": "Gardens"}), 403, "identity.role_required")
    for name in ("cleaning", " CLEANING "):
        await catalogue.refused(await market.post(catalogue.admin, path, {"name": name}), 409, "gigs.category_exists")
    for bad in ("", "  ", "x" * 101, None, 5):
        await catalogue.refused(await market.post(catalogue.admin, path, {"name": bad}), 422, "kernel.invalid", "name")
    assert await catalogue.stored() == before
    assert [one["name"] for one in (await market.get(None, path)).json()["results"]] == ["Cleaning"]
    audited = await market.rows("SELECT action, after FROM audit_entries WHERE target LIKE 'category:%'")
    assert [one["action"] for one in audited] == ["category_added"]


async def test_of_two_categories_of_one_name_at_once_one_is_refused(catalogue: Catalogue) -> None:
    replies = await asyncio.gather(
        *(catalogue.market.post(catalogue.admin, f"{SERVICES}/categories", {"name": n}) for n in ("Paint", "paint"))
    )
    assert sorted(one.status_code for one in replies) == [201, 409]
    assert await catalogue.market.value("SELECT count(*) FROM offering_categories") == 2


async def test_a_worker_lists_a_service_and_everybody_finds_it(catalogue: Catalogue) -> None:
    market = catalogue.market
    service = await catalogue.list_service()
    moment = service["created_at"]
    assert service == {
        "id": service["id"],
        **DEEP_CLEAN,
        "category": {"id": catalogue.category, "name": "Cleaning"},
        "category_id": catalogue.category,
        "currency": "KES",
        "is_active": True,
        "owner": {"id": str(catalogue.worker.id), "username": "wanja"},
        "created_at": moment,
        "updated_at": moment,
    }
    assert (await market.get(None, f"{SERVICES}/{service['id']}")).json() == service
    listed = (await market.get(None, SERVICES)).json()
    assert listed == {"results": [service], "next": None, "previous": None}
    worker = (await market.get(None, f"{WORKERS}/{catalogue.worker.id}")).json()
    assert worker["specializations"] == [{"id": service["id"], "name": "Deep clean"}]


async def test_only_workers_list(catalogue: Catalogue) -> None:
    before = await catalogue.stored()
    body = {**DEEP_CLEAN, "category_id": catalogue.category}
    for person in (catalogue.client, catalogue.admin):
        await catalogue.refused(await catalogue.market.post(person, SERVICES, body), 403, "identity.role_required")
    await catalogue.refused(await catalogue.market.post(None, SERVICES, body), 401, "identity.not_signed_in")
    assert await catalogue.stored() == before


BAD_SERVICES: tuple[tuple[dict[str, object], str, str], ...] = (
    ({"category_id": NOTHING}, "gigs.unknown_category", "category_id"),
    ({"category_id": "cleaning"}, "kernel.invalid", "category_id"),
    ({"base_price": -1}, "kernel.invalid_amount", "base_price"),
    ({"base_price": "NaN"}, "kernel.invalid_amount", "base_price"),
    ({"base_price": "2500.001"}, "kernel.invalid_amount", "base_price"),
    ({"base_price": 10_000_000_001}, "kernel.invalid_amount", "base_price"),
    ({"base_price": "12.50", "currency": "UGX"}, "kernel.invalid_amount", "base_price"),
    ({"currency": "XXX"}, "payments.currency_not_supported", "currency"),
    ({"currency": "KE"}, "kernel.invalid", "currency"),
    ({"duration_hours": 0.2}, "kernel.invalid", "duration_hours"),
    ({"duration_hours": 240.5}, "kernel.invalid", "duration_hours"),
    ({"duration_hours": "0.10"}, "kernel.invalid", "duration_hours"),
    ({"duration_hours": 1.333}, "kernel.invalid", "duration_hours"),
    ({"name": " "}, "kernel.invalid", "name"),
    ({"name": "x" * 121}, "kernel.invalid", "name"),
    ({"description": ""}, "kernel.invalid", "description"),
    ({"description": "x" * 5_001}, "kernel.invalid", "description"),
)


async def test_a_service_out_of_bounds_is_refused_and_nothing_is_kept(catalogue: Catalogue) -> None:
    before = await catalogue.stored()
    for change, code, field in BAD_SERVICES:
        body = {**DEEP_CLEAN, "category_id": catalogue.category, **change}
        await catalogue.refused(await catalogue.market.post(catalogue.worker, SERVICES, body), 422, code, field)
    body = {**DEEP_CLEAN, "category_id": catalogue.category, "name": "nul \x00"}
    await catalogue.refused(await catalogue.market.post(catalogue.worker, SERVICES, body), 422, "kernel.nul_refused")
    assert await catalogue.stored() == before


async def test_hours_come_back_as_they_were_sent(catalogue: Catalogue) -> None:
    for hours, shown in (("2.50", 2.5), ("0.25", 0.25), (240, 240), (1.1, 1.1)):
        assert (await catalogue.list_service(duration_hours=hours))["duration_hours"] == shown


async def test_the_owner_edits_and_others_do_not(catalogue: Catalogue) -> None:
    service = await catalogue.list_service()
    path = f"{SERVICES}/{service['id']}"
    before = await catalogue.stored()
    for person in (catalogue.rival, catalogue.client):
        for method in ("PUT", "PATCH", "DELETE"):
            reply = await catalogue.send(person, method, path, {"name": "Mine now"} if method != "DELETE" else None)
            await catalogue.refused(reply, 403, "gigs.not_service_owner")
    assert await catalogue.stored() == before
    body = {"base_price": 3000, "currency": "usd", "duration_hours": 3, "name": "Deeper clean"}
    edited = await catalogue.send(catalogue.worker, "PATCH", path, body)
    assert edited.json() == {
        **service,
        "name": "Deeper clean",
        "base_price": "3000.00",
        "currency": "USD",
        "duration_hours": 3,
        "updated_at": edited.json()["updated_at"],
    }
    reply = await catalogue.send(catalogue.worker, "PATCH", path, {"category_id": NOTHING})
    await catalogue.refused(reply, 422, "gigs.unknown_category", "category_id")
    reply = await catalogue.send(catalogue.worker, "PATCH", path, {"base_price": -5})
    await catalogue.refused(reply, 422, "kernel.invalid_amount", "base_price")
    reply = await catalogue.send(catalogue.worker, "PATCH", f"{SERVICES}/{NOTHING}", {"name": "x"})
    await catalogue.refused(reply, 404, "gigs.service_not_found")


async def test_an_administrators_edit_is_audited(catalogue: Catalogue) -> None:
    service = await catalogue.list_service()
    path = f"{SERVICES}/{service['id']}"
    assert (await catalogue.send(catalogue.worker, "PUT", path, {"name": "Own edit"})).status_code == 200
    assert (await catalogue.send(catalogue.admin, "PUT", path, {"name": "Polite name"})).status_code == 200
    audited = await catalogue.market.rows(
        "SELECT actor_id, before ->> 'name' AS was, after ->> 'name' AS is FROM audit_entries WHERE target = $1",
        f"service:{service['id']}",
    )
    assert audited == [{"actor_id": catalogue.admin.id, "was": "Own edit", "is": "Polite name"}]


async def test_a_deleted_service_is_in_no_list_and_readable_still(catalogue: Catalogue) -> None:
    service = await catalogue.list_service()
    path = f"{SERVICES}/{service['id']}"
    for _ in range(2):
        assert (await catalogue.send(catalogue.worker, "DELETE", path)).status_code == 204
    assert await catalogue.found() == []
    assert (await catalogue.market.get(None, path)).json()["is_active"] is False
    mine = await catalogue.market.get(catalogue.worker, SERVICES, mine="true")
    assert [(one["name"], one["is_active"]) for one in mine.json()["results"]] == [("Deep clean", False)]
    assert (await catalogue.market.get(catalogue.rival, SERVICES, mine="true")).json()["results"] == []
    await catalogue.refused(await catalogue.market.get(None, SERVICES, mine="true"), 401, "identity.not_signed_in")
    assert (await catalogue.send(catalogue.worker, "PATCH", path, {"is_active": True})).status_code == 200
    assert await catalogue.found() == ["Deep clean"]


async def test_services_are_filtered_and_ordered(catalogue: Catalogue) -> None:
    for name, price in (("Carpets", 900), ("windows", 1000), ("Baths", 1000)):
        await catalogue.list_service(name=name, base_price=price)
    assert await catalogue.found() == ["Baths", "windows", "Carpets"]
    assert await catalogue.found(ordering="created_at") == ["Carpets", "windows", "Baths"]
    assert await catalogue.found(ordering="name") == ["Baths", "Carpets", "windows"]
    assert await catalogue.found(ordering="-base_price") == ["Baths", "windows", "Carpets"]
    assert await catalogue.found(min_price="900.01", max_price="1000") == ["Baths", "windows"]
    assert await catalogue.found(search="WINd") == ["windows"]
    assert await catalogue.found(search="") == ["Baths", "windows", "Carpets"]
    assert await catalogue.found(category=catalogue.category, owner=str(catalogue.worker.id), limit=1) == ["Baths"]
    assert await catalogue.found(category=NOTHING) == []
    assert await catalogue.found(owner=str(catalogue.rival.id)) == []


async def test_pages_lead_on_and_back_with_their_filters(catalogue: Catalogue) -> None:
    for name in ("\u00fc" * 120, "Twin", "twin", "a" * 120, "Zed"):
        await catalogue.list_service(name=name)
    for ordering in OfferingOrder:
        whole = await catalogue.found(ordering=ordering, search="flat")
        pages, replies, address = [], [], f"{SERVICES}?ordering={ordering}&search=flat&limit=2"
        while address:
            replies.append((await catalogue.send(None, "GET", address)).json())
            pages.append([one["name"] for one in replies[-1]["results"]])
            address = replies[-1]["next"]
        assert [name for page in pages for name in page] == whole
        assert [len(page) for page in pages] == [2, 2, 1]
        back = (await catalogue.send(None, "GET", replies[-1]["previous"])).json()
        assert [one["name"] for one in back["results"]] == pages[1]


async def test_an_edit_between_two_pages_moves_no_edge(catalogue: Catalogue) -> None:
    services = [
        await catalogue.list_service(name=name, base_price=price) for name, price in (("a", 1), ("b", 2), ("c", 3))
    ]
    first = (await catalogue.market.get(None, SERVICES, ordering="base_price", limit="1")).json()
    path = f"{SERVICES}/{services[0]['id']}"
    assert (await catalogue.send(catalogue.worker, "PATCH", path, {"base_price": 9})).status_code == 200
    second = (await catalogue.send(None, "GET", first["next"])).json()
    assert [one["name"] for one in second["results"]] == ["b"]


BAD_QUESTIONS: tuple[tuple[dict[str, str], str], ...] = (
    ({"ordering": "price"}, "ordering"),
    ({"ordering": "--name"}, "ordering"),
    ({"ordering": ""}, "ordering"),
    ({"min_price": "NaN"}, "min_price"),
    ({"min_price": "-1"}, "min_price"),
    ({"max_price": "1e9"}, "max_price"),
    ({"max_price": "9" * 25}, "max_price"),
    ({"category": "cleaning"}, "category"),
    ({"owner": "me"}, "owner"),
    ({"cursor": "garbage"}, "cursor"),
    ({"cursor": "garbage", "ordering": "name"}, "cursor"),
    ({"limit": "0"}, "limit"),
    ({"limit": "101"}, "limit"),
    ({"search": "x" * 201}, "search"),
)


async def test_a_question_that_makes_no_sense_is_refused(catalogue: Catalogue) -> None:
    for parameters, field in BAD_QUESTIONS:
        await catalogue.refused(await catalogue.market.get(None, SERVICES, **parameters), 422, "kernel.invalid", field)


async def test_a_cursor_of_another_order_is_refused(catalogue: Catalogue) -> None:
    for name in ("a", "b"):
        await catalogue.list_service(name=name)
    onward = (await catalogue.market.get(None, SERVICES, ordering="name", limit="1")).json()["next"]
    for ordering in ("base_price", "created_at"):
        reply = await catalogue.send(None, "GET", onward.replace("ordering=name", f"ordering={ordering}"))
        await catalogue.refused(reply, 422, "kernel.invalid", "cursor")


async def test_a_worker_has_a_profile_from_the_start_and_edits_it(catalogue: Catalogue) -> None:
    market, worker = catalogue.market, catalogue.worker
    fresh = (await market.get(worker, PROFILE)).json()
    user = {"id": str(worker.id), "username": "wanja", "first_name": "", "last_name": "", "avatar": ""}
    assert fresh == {
        "id": str(worker.id),
        "user": user,
        "specializations": [],
        "experience_years": 0,
        "hourly_rate": "0.00",
        "currency": "KES",
        "rating": "0.00",
        "reviews_count": 0,
        "is_available": True,
        "bio": "",
    }
    service = await catalogue.list_service()
    body = {"specializations": [service["id"]], "experience_years": 60, "hourly_rate": "500.50", "bio": "Seven years"}
    edited = await catalogue.send(catalogue.rival, "PUT", PROFILE, body)
    assert edited.status_code == 200, edited.text
    assert edited.json()["specializations"] == [{"id": service["id"], "name": "Deep clean"}]
    assert {name: edited.json()[name] for name in ("experience_years", "hourly_rate", "currency", "bio")} == {
        "experience_years": 60,
        "hourly_rate": "500.50",
        "currency": "KES",
        "bio": "Seven years",
    }
    gone = await catalogue.send(catalogue.rival, "PATCH", PROFILE, {"specializations": [], "is_available": False})
    assert gone.json() == {**edited.json(), "specializations": [], "is_available": False}
    own = await catalogue.send(worker, "PATCH", PROFILE, {"specializations": []})
    assert own.json()["specializations"] == [{"id": service["id"], "name": "Deep clean"}]


BAD_PROFILES: tuple[tuple[dict[str, object], str, str], ...] = (
    ({"specializations": [NOTHING]}, "gigs.unknown_service", "specializations"),
    ({"specializations": ["x"]}, "kernel.invalid", "specializations"),
    ({"specializations": [NOTHING] * 101}, "kernel.invalid", "specializations"),
    ({"experience_years": 61}, "kernel.invalid", "experience_years"),
    ({"experience_years": -1}, "kernel.invalid", "experience_years"),
    ({"hourly_rate": "-5"}, "kernel.invalid_amount", "hourly_rate"),
    ({"currency": "XXX"}, "payments.currency_not_supported", "currency"),
    ({"bio": "x" * 2_001}, "kernel.invalid", "bio"),
    ({"is_available": "yes"}, "kernel.invalid", "is_available"),
)


async def test_a_profile_out_of_bounds_is_refused_and_nothing_is_kept(catalogue: Catalogue) -> None:
    before = await catalogue.stored()
    for body, code, field in BAD_PROFILES:
        reply = await catalogue.send(catalogue.worker, "PATCH", PROFILE, {"bio": "New", **body})
        assert (reply.status_code, reply.json()["code"]) == (422, code), reply.text
        assert [re.split(r"\W", one["field"])[0] for one in reply.json()["errors"]] == [field]
    assert await catalogue.stored() == before


async def test_who_is_no_worker_has_no_profile(catalogue: Catalogue) -> None:
    for method in ("GET", "PUT", "PATCH"):
        reply = await catalogue.send(catalogue.client, method, PROFILE, None if method == "GET" else {"bio": "x"})
        await catalogue.refused(reply, 403, "identity.role_required")
    await catalogue.refused(
        await catalogue.market.get(None, f"{WORKERS}/{catalogue.client.id}"), 404, "gigs.worker_not_found"
    )
    assert await catalogue.market.value("SELECT count(*) FROM worker_profiles") == 2


async def test_who_becomes_a_worker_later_is_found_at_once(catalogue: Catalogue) -> None:
    market = catalogue.market
    assert await catalogue.found(WORKERS) == ["otieno", "wanja"]
    assert (await market.post(catalogue.client, "/api/users/me/roles", {"role": "worker"})).status_code == 201
    assert await catalogue.found(WORKERS) == ["carol", "otieno", "wanja"]
    member = await market.register("mary")
    body = {"role": "worker"}
    reply = await catalogue.send(catalogue.admin, "PATCH", f"/api/admin/users/{member.id}", body)
    assert reply.status_code == 200, reply.text
    assert await catalogue.found(WORKERS) == ["mary", "carol", "otieno", "wanja"]


async def test_workers_are_filtered_and_pages_lead_on(catalogue: Catalogue) -> None:
    market, service = catalogue.market, await catalogue.list_service()
    away = {"is_available": False, "bio": "Gardens since 1999"}
    assert (await catalogue.send(catalogue.rival, "PATCH", PROFILE, away)).status_code == 200
    assert await catalogue.found(WORKERS, service=service["id"]) == ["wanja"]
    assert await catalogue.found(WORKERS, is_available="false") == ["otieno"]
    assert await catalogue.found(WORKERS, search="since gard") == ["otieno"]
    assert await catalogue.found(WORKERS, search="wanja") == ["wanja"]
    assert await catalogue.found(WORKERS, min_rating="0.01") == []
    first = (await market.get(None, WORKERS, limit="1")).json()
    assert [one["user"]["username"] for one in first["results"]] == ["otieno"]
    second = (await catalogue.send(None, "GET", first["next"])).json()
    assert ([one["user"]["username"] for one in second["results"]], second["next"]) == (["wanja"], None)
    for parameters, field in (
        ({"min_rating": "5.01"}, "min_rating"),
        ({"min_rating": "NaN"}, "min_rating"),
        ({"service": "x"}, "service"),
        ({"is_available": "maybe"}, "is_available"),
        ({"cursor": "garbage"}, "cursor"),
    ):
        await catalogue.refused(await market.get(None, WORKERS, **parameters), 422, "kernel.invalid", field)


async def test_a_suspended_worker_and_his_services_are_gone_until_he_is_back(catalogue: Catalogue) -> None:
    await catalogue.list_service()
    path = f"/api/admin/users/{catalogue.worker.id}"
    shut = await catalogue.send(catalogue.admin, "PATCH", path, {"is_active": False})
    assert shut.status_code == 200, shut.text
    assert (await catalogue.found(), await catalogue.found(WORKERS)) == ([], ["otieno"])
    await catalogue.refused(
        await catalogue.market.get(None, f"{WORKERS}/{catalogue.worker.id}"), 404, "gigs.worker_not_found"
    )
    assert (await catalogue.send(catalogue.admin, "PATCH", path, {"is_active": True})).status_code == 200
    assert (await catalogue.found(), await catalogue.found(WORKERS)) == (["Deep clean"], ["otieno", "wanja"])
