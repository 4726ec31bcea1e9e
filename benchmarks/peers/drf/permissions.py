"""Who may do what: by the roles in the token."""

from typing import Any

from rest_framework.permissions import BasePermission


class _HasRole(BasePermission):
    role: str

    def has_permission(self, request: Any, view: Any) -> bool:
        return bool(request.user and request.user.is_authenticated and self.role in request.user.token["roles"])


class IsWriter(_HasRole):
    """Writers only."""

    role = "writer"


class IsAdmin(_HasRole):
    """Administrators only."""

    role = "admin"
