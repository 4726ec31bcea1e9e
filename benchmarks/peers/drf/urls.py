"""The addresses of the Django peer."""

from django.urls import path

from benchmarks.peers.drf import views

urlpatterns = [
    path("api/tasks/available", views.AvailableTasks.as_view()),
    path("api/tasks/<uuid:task_id>/claim", views.ClaimTask.as_view()),
    path("api/wallet", views.Wallet.as_view()),
    path("api/payments/lipana/callback", views.LipanaCallback.as_view()),
    path("api/admin/submissions/<uuid:submission_id>/approve", views.ApproveSubmission.as_view()),
]
