"""Examples of every body in the API document, made from its schema and from what its fields are usually called.

A sample stands wherever it fits the schema, so an example is always valid; a test checks that against the schemas.
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIwMTk1ZjNhMCJ9.c2lnbmF0dXJl"  # noqa: S105 - made up
PASSWORD = "Tall-trees-7"  # noqa: S105 - made up
MOMENT = "2026-03-09T08:00:00Z"

BY_NAME: Mapping[str, tuple[object, ...]] = {
    "AttemptBody.code": (None,),
    "AttemptBody.status": ("completed",),
    "CanceledOrderBody.answer_by": (None,),
    "CanceledOrderBody.attempts_left": (4,),
    "CanceledOrderBody.conversation_id": (None,),
    "CanceledOrderBody.description": ("Two flats",),
    "CanceledOrderBody.quantity": (2,),
    "CanceledOrderBody.refunded_amount": ("5000.00",),
    "CanceledOrderBody.stage": ("canceled",),
    "CanceledOrderBody.status": ("canceled",),
    "CanceledOrderBody.total_price": ("5000.00",),
    "CategoryBody.description": ("Homes and offices",),
    "CategoryBody.name": ("Cleaning",),
    "FileBody.name": ("essay.pdf",),
    "GatewayResponseBody.code": (None,),
    "GatewayResponseBody.message": (None,),
    "JobBody.name": ("close_business_day",),
    "OrderBody.answer_by": (None,),
    "OrderBody.attempts_left": (4,),
    "OrderBody.conversation_id": (None,),
    "OrderBody.description": ("Two flats",),
    "OrderBody.quantity": (2,),
    "OrderBody.refunded_amount": ("0.00",),
    "OrderBody.stage": ("started",),
    "OrderBody.status": ("in_progress",),
    "OrderBody.total_price": ("5000.00",),
    "OrderReviewBody.rating": (5,),
    "OrderedServiceBody.name": ("Deep clean",),
    "PaidBody.amount": ("5000.00",),
    "PaidBody.attempts_left": (4,),
    "PaidBody.next_action": (None,),
    "PaidBody.next_url": (None,),
    "PaidBody.payment_method": ("mpesa",),
    "PaidBody.refunded_amount": ("0.00",),
    "PaidBody.stage": ("succeeded",),
    "PaidBody.status": ("completed",),
    "PaidBody.transaction_id": ("SGR7K2M9QX",),
    "PaymentBody.amount": ("5000.00",),
    "PaymentBody.attempts_left": (4,),
    "PaymentBody.payment_method": ("mpesa",),
    "PaymentBody.refunded_amount": ("0.00",),
    "PaymentBody.stage": ("succeeded",),
    "PaymentBody.status": ("completed",),
    "PaymentBody.transaction_id": ("SGR7K2M9QX",),
    "PolicyBody.name": ("assignments.task_budget_max",),
    "ServiceBody.description": ("Per flat, windows and oven included.",),
    "ServiceBody.name": ("Deep clean",),
    "ServiceCategoryBody.name": ("Cleaning",),
    "SpecializationBody.name": ("Deep clean",),
    "StepBody.comment": ("Arrived.",),
    "StepBody.stage": ("started",),
    "StepBody.status": ("in_progress",),
    "WorkerBody.bio": ("Seven years of homes and offices.",),
    "WorkerPageBody.bio": ("Seven years of homes and offices.",),
    "WorkerReviewBody.rating": (5,),
    "access": (TOKEN,),
    "action": ("approve", "task.approved"),
    "actor": ("account",),
    "actor_label": ("account",),
    "address": ("Market Street 1",),
    "amount": ("1500.00",),
    "amount_due": ("1500.00",),
    "area": ("assignments",),
    "asked": ("1500.00",),
    "availability": ("weekday evenings",),
    "available": ("1350.00",),
    "avatar": ("https://example.com/amina.png",),
    "badge": ("BRONZE",),
    "balance": ("1500.00",),
    "base_price": ("2500.00",),
    "bio": ("I write about economics and history.",),
    "blocked_email": ("brian@example.com",),
    "city": ("Nairobi",),
    "code": ("482913",),
    "comment": ("Spotless, and on time.",),
    "confirm_password": (PASSWORD,),
    "content_type": ("application/pdf",),
    "country": ("Kenya",),
    "county": ("Nairobi",),
    "currency": ("KES",),
    "description": ("About 1,500 words on mobile money in Kenya, with sources.",),
    "destination": ("+254712345678",),
    "detail": ("processed",),
    "direction": ("in",),
    "duration_hours": (2,),
    "email": ("amina@example.com",),
    "experience_years": (7,),
    "fee": ("150.00",),
    "first_name": ("Amina",),
    "gateway": ("mpesa",),
    "held": ("0.00",),
    "hourly_rate": ("500.00",),
    "icon": ("broom",),
    "ip": ("203.0.113.7",),
    "kind": ("task",),
    "last_error": (None,),
    "last_name": ("Otieno",),
    "link": ("/tasks/0195f3a0-7c00-7000-8000-00000000abcd",),
    "location": ("Nairobi",),
    "message": ("Your task was approved.",),
    "method": ("mpesa",),
    "name": ("Amina Otieno",),
    "net": ("1350.00",),
    "new_password": (PASSWORD,),
    "next": (None, "/api/assignments?cursor=eyJhZnRlciI6IjAxOTUifQ"),
    "next_action": ("wait_for_phone",),
    "next_url": (None,),
    "note": ("Checked against the statement.",),
    "notes": ("The sources are on the last page.",),
    "old_password": (PASSWORD,),
    "owed": ("0.00",),
    "password": (PASSWORD,),
    "password2": (PASSWORD,),
    "password_confirm": (PASSWORD,),
    "pending": ("0.00",),
    "phone": ("0712345678",),
    "phone_number": ("0712345678",),
    "plan": ("P2",),
    "previous": (None,),
    "primary_role": ("student",),
    "profile_picture": ("https://example.com/amina.png",),
    "provider_reference": ("SGR7K2M9QX",),
    "purpose": ("WALLET",),
    "rating": ("4.67",),
    "reason": ("The brief has changed.",),
    "reference": ("SOKO-7K2M9QXR",),
    "refresh": (TOKEN,),
    "refresh_token": (TOKEN,),
    "rejection_reason": (None,),
    "reserved": ("0.00",),
    "role": ("student",),
    "schedule": ("every 60 s",),
    "set_by": (None,),
    "stage": ("open",),
    "status": ("APPROVED",),
    "ticket": ("q1w2e3r4t5y6u7i8",),
    "title": ("Essay on mobile money",),
    "token": (TOKEN,),
    "total": ("1500.00",),
    "trace_id": ("0195f3a07c007000800000000000abcd",),
    "transaction_reference": ("SOKO-7K2M9QXR",),
    "url": ("/api/files/0195f3a0-7c00-7000-8000-00000000abcd",),
    "user_agent": ("Mozilla/5.0",),
    "username": ("amina",),
    "value": (250000,),
}
"""Samples by the name of a field; the first that fits is taken."""

BY_REQUEST: Mapping[str, object] = {
    "AddCategoryBody": {"name": "Cleaning", "description": "Homes and offices", "icon": "broom"},
    "AdminPatchBody": {"is_active": False},
    "ApproveSubmissionBody": {},
    "ApproveTaskBody": {},
    "BlockBody": {"user_id": "0195f3a0-7c00-7000-8000-00000000abcd", "reason": "Sends advertising."},
    "CommentBody": {"comment": "As agreed on the phone."},
    "DarajaCallbackInput": {
        "Body": {
            "stkCallback": {
                "MerchantRequestID": "29115-34620561-1",
                "CheckoutRequestID": "ws_CO_090320261100000001",
                "ResultCode": 1032,
                "ResultDesc": "Request canceled by user",
            }
        }
    },
    "DecisionInput": {"action": "approve", "note": "Checked against the statement."},
    "EditServiceBody": {"base_price": "2750.00", "duration_hours": 2.5},
    "EditWorkerBody": {
        "experience_years": 7,
        "hourly_rate": "500.00",
        "is_available": True,
        "bio": "Seven years of homes and offices.",
    },
    "AssignBody": {"worker_id": "0195f3a0-7c00-7000-8000-0000000003e2", "comment": "Nearest to the address."},
    "CancelBody": {"reason": "The move is put off."},
    "ChangesBody": {"reason": "The oven was left out."},
    "DeclineBody": {"reason": "Too far for that day."},
    "DeliverWorkBody": {"note": "Everything on the list is done."},
    "EditOrderBody": {"address": "Market Street 1, second floor"},
    "LipanaCallbackInput": {"reference": "SOKO-7K2M9QXR", "status": "SUCCESS", "amount": 1500, "phone": "254712345678"},
    "ListServiceBody": {
        "name": "Deep clean",
        "description": "Per flat, windows and oven included.",
        "category_id": "0195f3a0-7c00-7000-8000-00000000ca7e",
        "base_price": "2500.00",
        "duration_hours": 2,
    },
    "LoginBody": {"username": "amina", "password": PASSWORD},
    "LogoutBody": {"refresh": TOKEN},
    "PayInput": {"payment_method": "mpesa", "phone": "0712345678"},
    "PayPalCallbackInput": {
        "id": "WH-58D329510W468432D-8HN650336L201105X",
        "event_type": "PAYMENT.CAPTURE.COMPLETED",
        "resource_type": "capture",
        "resource": {"id": "27M47624FP291604U", "status": "COMPLETED", "custom_id": "SOKO-7K2M9QXR"},
    },
    "PlaceOrderBody": {
        "service": "0195f3a0-7c00-7000-8000-000000005e21",
        "description": "Two flats",
        "address": "Market Street 1",
        "scheduled_date": "2026-03-09T08:00:00Z",
        "quantity": 2,
        "expected_total": "5000.00",
    },
    "RefundInput": {"amount": "1000.00", "reason": "One room was missed."},
    "RejectSubmissionBody": {"reason": "Cite two sources.", "outcome": "changes"},
    "ResetConfirmBody": {"email": "amina@example.com", "code": "482913", "new_password": PASSWORD},
    "ReviewOrderBody": {"rating": 5, "comment": "Spotless, and on time."},
    "ScriptBody": {"outcome": "success", "match": {"phone": "0712345678"}, "times": 1},
    "SokoCallbackInput": {"transaction_reference": "SOKO-7K2M9QXR", "status": "SUCCESS"},
    "StatusChangeBody": {"status": "in_progress", "comment": "Arrived."},
    "StripeCallbackInput": {
        "id": "evt_1Soko0000000001",
        "type": "payment_intent.succeeded",
        "created": 1773043200,
        "livemode": False,
        "data": {"object": {"id": "pi_1Soko0000000001", "status": "succeeded", "amount_received": 150000}},
    },
    "VerifyBody": {"email": "amina@example.com", "code": "482913"},
    "WithdrawalInput": {"amount": "1500.00", "destination": {"phone": "0712345678"}},
}
"""Requests in which some fields stand for each other, by the name of their schema."""

_JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "null": (type(None),),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}


class Examples:
    """Makes examples of the schemas of one document."""

    def __init__(self, components: Mapping[str, Any]) -> None:
        self._components = components

    def add_to(self, operation: dict[str, Any]) -> None:
        """Put an example to every body of an operation that has none."""
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            for kind, media in body.get("content", {}).items():
                if "example" not in media and media.get("schema"):
                    media["example"] = self._of_text(kind) or self.of(media["schema"])

    def of(self, schema: Mapping[str, Any], name: str = "", owner: str = "") -> object:
        """Return an example of a schema, for a field of that name of an object of that title."""
        schema = self._resolved(schema)
        kinds = [self._resolved(kind) for kind in schema.get("anyOf", schema.get("oneOf", [schema]))]
        for sample in BY_NAME.get(f"{owner}.{name}", BY_NAME.get(name, ())):
            if any(_fits(sample, kind) for kind in kinds):
                return sample
        kinds = [kind for kind in kinds if kind.get("type") != "null"] or kinds
        kind = next((kind for kind in kinds if kind.get("type") == "object"), kinds[0])
        title = kind.get("title", "")
        return BY_REQUEST[title] if title in BY_REQUEST else self._of_kind(kind, name)

    def _of_kind(self, schema: Mapping[str, Any], name: str) -> object:
        found: object = schema.get("default")
        match schema.get("type"):
            case _ if "enum" in schema:
                found = schema["enum"][0]
            case "object":
                owner = schema.get("title", "")
                found = {field: self.of(of, field, owner) for field, of in schema.get("properties", {}).items()}
            case "array":
                found = [self.of(schema.get("items", {}), name.removesuffix("s"))]
            case "boolean":
                found = True
            case "integer" | "number":
                found = schema.get("minimum", 1)
            case "string":
                found = _text(schema, name)
        return found

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        name = schema.get("$ref", "").rpartition("/")[2]
        found: Mapping[str, Any] = self._components.get(name, schema)
        return found

    def _of_text(self, kind: str) -> str | None:
        return {"text/html": "<!doctype html>", "text/plain": "soko_pool_borrowed 0\n"}.get(kind.partition(";")[0])


def _text(schema: Mapping[str, Any], name: str) -> str:
    match schema.get("format"):
        case "uuid":
            return f"0195f3a0-7c00-7000-8000-{sha256(name.encode()).hexdigest()[:12]}"
        case "date-time":
            return MOMENT
        case "date":
            return MOMENT[:10]
    word = name.replace("_", " ") or "text"
    return word if _fits(word, schema) else "A" * max(int(schema.get("minLength", 1)), 3)


def _fits(sample: object, schema: Mapping[str, Any]) -> bool:
    if "enum" in schema:
        return sample in schema["enum"]
    kind = schema.get("type")
    if isinstance(kind, str) and not isinstance(sample, _JSON_TYPES[kind]):
        return False
    if isinstance(sample, str):
        is_long_enough = schema.get("minLength", 0) <= len(sample) <= schema.get("maxLength", len(sample))
        return is_long_enough and "format" not in schema and bool(re.search(schema.get("pattern", ""), sample))
    return True
