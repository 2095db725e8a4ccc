"""Where the pages of training lie. Objects have short addresses; lists lie below their project."""

from __future__ import annotations

from django.urls import path

from training import views

app_name = "training"

urlpatterns = [
    path("projects/<int:project_id>/loop/", views.loop, name="loop"),
    path("projects/<int:project_id>/loop/status/", views.loop_status, name="loop_status"),
    path("projects/<int:project_id>/loop/open/", views.open_round, name="open_round"),
    path("projects/<int:project_id>/loop/close/", views.close_round, name="close_round"),
    path("projects/<int:project_id>/snapshots/", views.snapshots, name="snapshots"),
    path("projects/<int:project_id>/snapshots/freeze/", views.freeze, name="freeze_snapshot"),
    path("snapshots/<int:snapshot_id>/", views.snapshot, name="snapshot"),
    path("snapshots/<int:snapshot_id>/rows.jsonl", views.download, name="download_snapshot"),
    path("projects/<int:project_id>/runs/", views.runs, name="runs"),
    path("projects/<int:project_id>/runs/status/", views.runs_status, name="runs_status"),
    path("projects/<int:project_id>/runs/new/", views.new_run, name="new_run"),
    path("runs/<int:run_id>/", views.run, name="run"),
    path("runs/<int:run_id>/status/", views.run_status, name="run_status"),
    path("runs/<int:run_id>/cancel/", views.cancel_run, name="cancel_run"),
    path("projects/<int:project_id>/checkpoints/", views.checkpoints, name="checkpoints"),
    path("checkpoints/<int:checkpoint_id>/", views.checkpoint, name="checkpoint"),
    path(
        "checkpoints/<int:checkpoint_id>/completions/",
        views.request_completions,
        name="request_completions",
    ),
    path("checkpoints/<int:checkpoint_id>/evaluate/", views.evaluate, name="start_evaluation"),
    path("checkpoints/<int:checkpoint_id>/promote/", views.promote, name="promote_checkpoint"),
    path("evaluations/<int:evaluation_id>/", views.evaluation, name="evaluation"),
]
