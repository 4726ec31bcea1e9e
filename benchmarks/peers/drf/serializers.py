"""What clients read and send. Plain serializers: the framework builds those of models anew for each request."""

from typing import Any

from rest_framework import serializers

from benchmarks.peers.drf.models import File, Release, Task
from benchmarks.peers.market import file_link, money


class MoneyField(serializers.Field):
    """Minor units, written as an amount."""

    def to_representation(self, value: int) -> str:
        return money(value)


class BudgetSerializer(serializers.Serializer):
    """An amount and its currency."""

    amount = MoneyField(source="budget")
    currency = serializers.CharField()


class PersonSerializer(serializers.Serializer):
    """Who somebody is, for others."""

    id = serializers.UUIDField()
    username = serializers.CharField()


class FileSerializer(serializers.Serializer):
    """A file; with a link where the context says who may open it."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    size = serializers.IntegerField()
    content_type = serializers.CharField()
    url = serializers.SerializerMethodField()
    uploaded_at = serializers.DateTimeField()

    def get_url(self, file: File) -> str | None:
        opened_at = self.context.get("opened_at")
        return None if opened_at is None else file_link(file.id, opened_at)


class ClaimSerializer(serializers.Serializer):
    """The claim that a task is under, which its row has."""

    id = serializers.UUIDField(source="claim_id")
    claimed_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(source="claim_due_at")
    expires_at = serializers.DateTimeField(source="claim_expires_at")
    late = serializers.SerializerMethodField()

    def get_late(self, task: Task) -> bool:
        return bool(task.claim_due_at < task.updated_at)


class TaskSerializer(serializers.Serializer):
    """A task as everybody sees it."""

    id = serializers.UUIDField()
    title = serializers.CharField()
    description = serializers.CharField()
    status = serializers.CharField()
    stage = serializers.SerializerMethodField()
    budget = BudgetSerializer(source="*")
    funded = serializers.SerializerMethodField()
    due_at = serializers.DateTimeField()
    files = FileSerializer(many=True, source="shown_files")
    student = PersonSerializer()
    writer = serializers.SerializerMethodField()
    claim = serializers.SerializerMethodField()
    submission = serializers.SerializerMethodField()
    rejection_reason = serializers.CharField()
    revision = serializers.IntegerField()
    conversation_id = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_stage(self, task: Task) -> str:
        return "completed" if task.status == "COMPLETED" else task.stage

    def get_funded(self, task: Task) -> bool:
        return task.budget is not None

    def get_writer(self, task: Task) -> Any:
        writer = self.context.get("writer")
        return None if writer is None else PersonSerializer(writer).data

    def get_claim(self, task: Task) -> Any:
        return None if task.claim_id is None else ClaimSerializer(task).data

    def get_submission(self, task: Task) -> Any:
        submission = self.context.get("submission")
        if submission is None:
            return None
        return {
            "id": submission.id,
            "status": submission.status,
            "version": submission.version,
            "late": submission.is_late,
        }

    def get_conversation_id(self, task: Task) -> None:
        return None


class QuotaSerializer(serializers.Serializer):
    """What a writer may still claim."""

    plan = serializers.CharField()
    daily_limit = serializers.IntegerField(allow_null=True)
    daily_count = serializers.IntegerField()
    left = serializers.IntegerField(allow_null=True)
    open_claims = serializers.IntegerField()
    open_claims_limit = serializers.IntegerField()


class CurrencyWalletSerializer(serializers.Serializer):
    """What a person has in one currency."""

    balance = MoneyField()
    currency = serializers.CharField()
    pending = MoneyField()
    reserved = MoneyField()
    held = MoneyField()
    updated_at = serializers.DateTimeField()


class ReleaseSerializer(serializers.Serializer):
    """What a writer was paid."""

    id = serializers.UUIDField()
    writer = serializers.UUIDField(source="writer_id")
    amount = MoneyField()
    fee = MoneyField()
    net = serializers.SerializerMethodField()
    currency = serializers.CharField()
    assignment = serializers.UUIDField(source="task_id")
    source = serializers.CharField()
    created_at = serializers.DateTimeField()

    def get_net(self, release: Release) -> str:
        return money(release.amount - release.fee)


class ApprovalInputSerializer(serializers.Serializer):
    """Which state of the work is approved."""

    version = serializers.IntegerField(min_value=1)


class CallbackDataSerializer(serializers.Serializer):
    """What the provider says of one payment."""

    transactionId = serializers.CharField(max_length=200)  # noqa: N815  the provider's name
    status = serializers.CharField(max_length=50)
    amount = serializers.DecimalField(max_digits=14, decimal_places=2)
    phone = serializers.CharField(max_length=20)
    reference = serializers.CharField(max_length=100)
    mpesaReceiptNumber = serializers.CharField(max_length=100)  # noqa: N815


class CallbackSerializer(serializers.Serializer):
    """A callback of the provider."""

    event = serializers.CharField(max_length=50)
    data = CallbackDataSerializer()


class ApprovalSerializer(serializers.Serializer):
    """Approved work, with its task, what was paid and what the writer is worth now."""

    id = serializers.UUIDField()
    writer = PersonSerializer(source="writer.account")
    file = serializers.SerializerMethodField()
    files = FileSerializer(many=True, source="shown_files")
    notes = serializers.CharField()
    status = serializers.CharField()
    version = serializers.IntegerField()
    late = serializers.BooleanField(source="is_late")
    rejection_reason = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    reviewed_at = serializers.DateTimeField()
    assignment = serializers.SerializerMethodField()
    release = ReleaseSerializer(source="task.release")
    rating = serializers.SerializerMethodField()

    def get_file(self, submission: Any) -> Any:
        first = submission.shown_files[0] if submission.shown_files else None
        return first and FileSerializer(first, context=self.context).data

    def get_assignment(self, submission: Any) -> Any:
        context = {**self.context, "writer": submission.writer.account, "submission": submission}
        return TaskSerializer(submission.task, context=context).data

    def get_rating(self, submission: Any) -> dict[str, Any]:
        return {"points": submission.writer.rating.points, "badge": "Platinum"}
