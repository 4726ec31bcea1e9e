"""Every documented path answers, by each of the names that sources give it."""

import pytest

from tests.e2e.market import Market

ID = "019cae6b-6600-7000-8000-000000000001"

ASSIGNMENTS_DOCUMENT = """
    POST /api/auth/register
    POST /api/auth/login
    POST /api/auth/logout
    POST /api/auth/refresh
    POST /api/auth/password-reset
    POST /api/auth/password-reset-confirm
    POST /api/auth/verify-email
    GET /api/auth/me
    GET /api/auth/notifications
    GET /api/ratings/me
    POST /api/assignments
    GET /api/assignments/my
    GET /api/wallet
    POST /api/wallet/topup
    GET /api/notifications
    POST /api/subscriptions/pay
    GET /api/subscriptions/status
    GET /api/tasks/available
    POST /api/tasks/{id}/claim
    POST /api/submissions
    GET /api/earnings
    GET /api/admin/assignments
    POST /api/admin/assignments/{id}/approve
    POST /api/admin/assignments/{id}/reject
    GET /api/admin/submissions
    POST /api/admin/submissions/{id}/approve
    POST /api/admin/payments/release
    GET /api/admin/users
    PATCH /api/admin/users/{id}
    POST /api/payments/lipana/callback
"""
GIGS_DOCUMENT = """
    GET /api/workers
    GET /api/auth/worker-profile
    PUT /api/auth/worker-profile
    PATCH /api/auth/worker-profile
    GET /api/services/categories
    POST /api/services/categories
    GET /api/services
    POST /api/services
    PUT /api/services/{id}
    PATCH /api/services/{id}
    DELETE /api/services/{id}
    GET /api/orders
    POST /api/orders/create
    POST /api/orders
    GET /api/orders/{id}
    PUT /api/orders/{id}
    PATCH /api/orders/{id}
    POST /api/orders/{id}/assign
    POST /api/orders/{id}/offer/accept
    POST /api/orders/{id}/offer/decline
    POST /api/orders/{id}/status
    POST /api/orders/{id}/start
    POST /api/orders/{id}/deliver
    POST /api/orders/{id}/withdraw
    POST /api/orders/{id}/accept
    POST /api/orders/{id}/request-changes
    POST /api/orders/{id}/cancel
    POST /api/orders/{id}/review
    GET /api/payments
    POST /api/payments/order/{id}/pay
    GET /api/payments/{id}
    POST /api/payments/{id}/refund
    POST /api/payments/stripe/callback
    POST /api/payments/paypal/callback
    POST /api/payments/daraja/stk/token
"""
"""Without `GET /api/services/{id}` and `GET /api/workers/{id}`: they say 404 to everybody of an id that nothing has."""
SIGN_IN_ELSEWHERE = """
    POST /api/auth/signup
    POST /api/auth/token/refresh
    GET /api/users
    GET /api/users/{id}
    PUT /api/users/{id}
    GET /api/auth/users
    GET /api/auth/users/{id}
    PUT /api/auth/users/{id}
    GET /api/users/me
    PATCH /api/users/me
    POST /api/users/me/roles
    POST /api/v1/auth/register/student
    POST /api/v1/auth/login
    POST /api/v1/auth/admin/login
    POST /api/v1/auth/admin/register
    POST /api/v1/auth/token/refresh
    POST /api/v1/auth/verify-email
    POST /api/v1/auth/password-reset
    POST /api/v1/auth/password-reset/confirm
    GET /api/v1/notifications
    POST /api/users/register
    POST /api/users/login
    POST /api/users/token/refresh
    POST /api/users/verify/email
    POST /api/users/verify/phone
    POST /api/users/verify/resend
    GET /api/users/profile
    PUT /api/users/profile
    PATCH /api/users/profile
    POST /api/users/password/reset
    POST /api/users/password/reset/confirm
    POST /api/users/block
    GET /api/users/blocked
    DELETE /api/users/unblock/{id}
    GET /admin
"""
ADDED = """
    GET /api/auth/devices
    DELETE /api/auth/devices
    DELETE /api/auth/devices/{id}
    POST /api/auth/login/second-factor
    POST /api/auth/second-factor
    POST /api/auth/second-factor/confirm
    POST /api/auth/second-factor/disable
    POST /api/auth/second-factor/recovery-codes
    POST /api/auth/step-up
    POST /api/auth/password-change
    POST /api/ws/ticket
    GET /api/files/{id}
    POST /api/notifications/{id}/read
    POST /api/notifications/read-all
    GET /api/notifications/preferences
    PUT /api/notifications/preferences
    GET /api/admin/audit
    GET /api/admin/jobs
    POST /api/admin/jobs/{id}/run
    GET /api/admin/policies
    PUT /api/admin/policies/{id}
    GET /api/admin/reports/daily
    GET /api/schema
    GET /api/docs
    GET /api/schema/swagger-ui
    GET /api/redoc
    GET /api/schema/redoc
    GET /health/live
    GET /health/ready
    GET /metrics
"""


def operations(text: str) -> list[tuple[str, str]]:
    return [(method, path) for method, path in (line.split() for line in text.split("\n") if line.strip())]


@pytest.mark.parametrize(
    "document",
    [ASSIGNMENTS_DOCUMENT, GIGS_DOCUMENT, SIGN_IN_ELSEWHERE, ADDED],
    ids=["assignments", "gigs", "sign-in elsewhere", "added"],
)
async def test_every_documented_path_answers_with_and_without_a_slash(market: Market, document: str) -> None:
    """A route that is missing says `kernel.not_found` or 405 before it asks who one is."""
    found = operations(document)
    assert len(found) > 20
    missing = []
    for method, path in found:
        for address in (path.format(id=ID), f"{path.format(id=ID)}/"):
            reply = await market.http.request(method, address, json={} if method != "GET" else None)
            assert reply.status_code < 500, (method, address, reply.text)
            if reply.status_code in {404, 405}:
                missing.append((method, address, reply.status_code))
    assert missing == []


async def test_an_unknown_path_and_another_method_are_told_apart(market: Market) -> None:
    """What the test above relies on."""
    assert (await market.http.get("/api/auth/meadow")).status_code == 404
    assert (await market.http.delete("/api/auth/me")).status_code == 405
