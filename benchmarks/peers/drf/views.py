"""The views, from the framework's generic ones."""

from typing import Any
from uuid import UUID

from django.db.models import F, Func, Max, Prefetch, Q, Sum, TextField, Value
from django.utils import timezone
from rest_framework import generics
from rest_framework.exceptions import NotAuthenticated, NotFound
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from benchmarks.peers.drf import models, serializers, services
from benchmarks.peers.drf.pagination import TaskPagination
from benchmarks.peers.drf.permissions import IsAdmin, IsWriter
from benchmarks.peers.market import OPEN_CLAIMS_MAX, is_signed

SHOWN_OF_TASKS = (
    "title", "description", "status", "stage", "budget", "currency", "due_at", "rejection_reason", "revision",
    "claim_id", "created_at", "updated_at", "student__username",
)  # fmt: skip
SHOWN_OF_FILES = ("subject_id", "name", "size", "content_type", "uploaded_at")


def _student_files() -> Any:
    return models.File.objects.filter(purpose="student").only(*SHOWN_OF_FILES)


class AvailableTasks(generics.ListAPIView):
    """Tasks that may be claimed."""

    permission_classes = (IsAuthenticated, IsWriter)
    serializer_class = serializers.TaskSerializer
    pagination_class = TaskPagination

    def get_queryset(self) -> Any:
        return (
            models.Task.objects.filter(
                Q(due_at__isnull=True) | Q(due_at__gt=timezone.now()), status="APPROVED", is_hidden=False
            )
            .select_related("student")
            .only(*SHOWN_OF_TASKS)
            .prefetch_related(Prefetch("files", queryset=_student_files(), to_attr="shown_files"))
        )


class Wallet(APIView):
    """What the caller has."""

    def get(self, request: Any) -> Response:
        rows = (
            models.Balance.objects.filter(owner_id=request.user.id)
            .exclude(currency="CRD")
            .values(
                "currency",
                word=Func(F("account"), Value(":"), Value(1), function="split_part", output_field=TextField()),
            )
            .annotate(total=Sum("balance"), latest=Max("changed_at"))
        )
        found: dict[str, dict[str, Any]] = {}
        for row in rows:
            wallet = found.setdefault(row["currency"], {"currency": row["currency"], "updated_at": row["latest"]})
            wallet[row["word"]] = int(row["total"])
            wallet["updated_at"] = max(wallet["updated_at"], row["latest"])
        if not found:
            raise NotFound
        wallets = [
            {
                "balance": wallet.get("wallet", 0) + wallet.get("owed", 0),
                "currency": currency,
                "pending": wallet.get("pending", 0),
                "reserved": wallet.get("reserved", 0),
                "held": wallet.get("escrow", 0),
                "updated_at": wallet["updated_at"],
            }
            for currency, wallet in sorted(found.items())
        ]
        written = serializers.CurrencyWalletSerializer(wallets, many=True).data
        return Response({**written[0], "wallets": written})


class ClaimTask(generics.GenericAPIView):
    """Claim a task."""

    permission_classes = (IsAuthenticated, IsWriter)

    def post(self, request: Any, task_id: UUID) -> Response:
        now = timezone.now()
        task, writer = services.claim_task(task_id, UUID(request.user.id), now)
        task.shown_files = list(_student_files().filter(subject=task))
        context = {**self.get_serializer_context(), "writer": writer.account, "opened_at": now}
        quota = {
            "plan": writer.plan,
            "daily_limit": None,
            "daily_count": writer.used,
            "left": None,
            "open_claims": writer.open_claims,
            "open_claims_limit": OPEN_CLAIMS_MAX,
        }
        shown = serializers.TaskSerializer(task, context=context).data
        return Response({**shown, "quota": serializers.QuotaSerializer(quota).data})


class LipanaCallback(APIView):
    """Hear from the payment provider."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def post(self, request: Any) -> Response:
        body = request.body
        if not is_signed(body, request.headers.get("X-Lipana-Signature", "")):
            raise NotAuthenticated
        said = serializers.CallbackSerializer(data=request.data)
        said.is_valid(raise_exception=True)
        is_new = services.take_callback(body, said.validated_data["data"], timezone.now())
        return Response({"detail": "processed" if is_new else "already processed"})


class ApproveSubmission(generics.GenericAPIView):
    """Approve work, which pays its writer."""

    permission_classes = (IsAuthenticated, IsAdmin)

    def post(self, request: Any, submission_id: UUID) -> Response:
        said = serializers.ApprovalInputSerializer(data=request.data)
        said.is_valid(raise_exception=True)
        now = timezone.now()
        submission = services.approve_submission(
            submission_id, said.validated_data["version"], UUID(request.user.id), request.META["REMOTE_ADDR"], now
        )
        version = submission.versions.get(number=submission.version)
        files = models.File.objects.filter(
            Q(subject=submission.task, purpose="student") | Q(pk__in=version.file_ids)
        ).only("purpose", *SHOWN_OF_FILES)
        chosen = list(files)
        submission.task.shown_files = [file for file in chosen if file.purpose == "student"]
        submission.shown_files = [file for file in chosen if file.id in version.file_ids]
        context = {**self.get_serializer_context(), "opened_at": now}
        return Response(serializers.ApprovalSerializer(submission, context=context).data)
