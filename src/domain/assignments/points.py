"""What work is worth in points; each entry has a reason that is used once (rule assignments.points_once)."""

from domain.assignments.task import ClaimId, TaskId
from domain.core.reputation.points import PointsEntry, Rating


def reward_approved_work(rating: Rating, task_id: TaskId, points: int) -> PointsEntry:
    """Give the points of a completed task, once a task (rule assignments.approval_completes_and_pays)."""
    return rating.add(points, f"task:{task_id}:approved")


def charge_timed_out_claim(rating: Rating, claim_id: ClaimId, points: int) -> PointsEntry:
    """Take the points of a claim that timed out, once a claim and never below zero; `points` is not above zero
    (rule assignments.timeout_costs_five).
    """
    assert points <= 0
    return rating.add(points, f"claim:{claim_id}:timed_out")
