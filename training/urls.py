"""Where the pages of training lie. Objects have short addresses; lists lie below their project."""

from __future__ import annotations

from django.urls import path

from training.views import (
    api_tokens,
    audit,
    automation,
    cards,
    checkpoints,
    compare,
    deletions,
    gates,
    leaderboard,
    lineage,
    loop,
    rollbacks,
    runs,
    serving,
    snapshots,
    suites,
)

app_name = "training"

urlpatterns = [
    path("projects/<int:project_id>/loop/", loop.loop, name="loop"),
    path("projects/<int:project_id>/loop/status/", loop.loop_status, name="loop_status"),
    path("projects/<int:project_id>/loop/open/", loop.open_round, name="open_round"),
    path("projects/<int:project_id>/loop/close/", loop.close_round, name="close_round"),
    path("projects/<int:project_id>/loop/run/", automation.run_round, name="run_round"),
    path("projects/<int:project_id>/loop/by-hand/", automation.drive_by_hand, name="drive_by_hand"),
    path("projects/<int:project_id>/loop/retry/", automation.retry_stage, name="retry_stage"),
    path("projects/<int:project_id>/loop/skip/", automation.skip_stage, name="skip_stage"),
    path(
        "projects/<int:project_id>/loop/automation/",
        automation.set_automation,
        name="set_automation",
    ),
    path("projects/<int:project_id>/gate/", gates.gate, name="gate"),
    path("projects/<int:project_id>/snapshots/", snapshots.snapshots, name="snapshots"),
    path("projects/<int:project_id>/snapshots/freeze/", snapshots.freeze, name="freeze_snapshot"),
    path("snapshots/<int:snapshot_id>/", snapshots.snapshot, name="snapshot"),
    path("snapshots/<int:snapshot_id>/rows.jsonl", snapshots.download, name="download_snapshot"),
    path("projects/<int:project_id>/runs/", runs.runs, name="runs"),
    path("projects/<int:project_id>/runs/status/", runs.runs_status, name="runs_status"),
    path("projects/<int:project_id>/runs/new/", runs.new_run, name="new_run"),
    path("projects/<int:project_id>/runs/priority/", runs.set_priority, name="set_priority"),
    path("projects/<int:project_id>/runs/estimate/", runs.estimate_run, name="estimate_run"),
    path("projects/<int:project_id>/runs/compare/", compare.compare, name="compare_runs"),
    path("runs/<int:run_id>/", runs.run, name="run"),
    path("runs/<int:run_id>/log.txt", runs.download_log, name="download_log"),
    path("runs/<int:run_id>/tensorboard.zip", runs.download_events, name="download_events"),
    path("runs/<int:run_id>/job.json", runs.export_job, name="export_job"),
    path("runs/<int:run_id>/status/", runs.run_status, name="run_status"),
    path("runs/<int:run_id>/cancel/", runs.cancel_run, name="cancel_run"),
    path("projects/<int:project_id>/audit/", audit.audit, name="audit"),
    path("projects/<int:project_id>/checkpoints/", checkpoints.checkpoints, name="checkpoints"),
    path("projects/<int:project_id>/checkpoints/base/", checkpoints.add_base, name="add_base"),
    path("checkpoints/<int:checkpoint_id>/", checkpoints.checkpoint, name="checkpoint"),
    path(
        "checkpoints/<int:checkpoint_id>/completions/",
        checkpoints.request_completions,
        name="request_completions",
    ),
    path(
        "checkpoints/<int:checkpoint_id>/evaluate/", checkpoints.evaluate, name="start_evaluation"
    ),
    path(
        "checkpoints/<int:checkpoint_id>/promote/", checkpoints.promote, name="promote_checkpoint"
    ),
    path("promotions/<int:promotion_id>/roll-back/", rollbacks.roll_back, name="roll_back"),
    path("projects/<int:project_id>/demote/", rollbacks.demote, name="demote"),
    path("checkpoints/<int:checkpoint_id>/export/", checkpoints.export, name="export_checkpoint"),
    path("checkpoints/<int:checkpoint_id>/annotations/", lineage.sources, name="sources"),
    path(
        "checkpoints/<int:checkpoint_id>/annotations.<str:form>",
        lineage.download_sources,
        name="download_sources",
    ),
    path("checkpoints/<int:checkpoint_id>/suites/", suites.suites, name="suites"),
    path("checkpoints/<int:checkpoint_id>/suites/start/", suites.start, name="start_suite"),
    path("suites/<int:run_id>/", suites.suite, name="suite"),
    path("checkpoints/<int:checkpoint_id>/card/", cards.card, name="card"),
    path("checkpoints/<int:checkpoint_id>/README.md", cards.download_card, name="download_card"),
    path(
        "checkpoints/<int:checkpoint_id>/delete/",
        deletions.delete_checkpoint,
        name="delete_checkpoint",
    ),
    path("checkpoints/<int:checkpoint_id>/rebuild/", deletions.rebuild, name="rebuild"),
    path("snapshots/<int:snapshot_id>/delete/", deletions.delete_snapshot, name="delete_snapshot"),
    path("items/<int:item_id>/lineage/", lineage.item, name="item"),
    path("projects/<int:project_id>/leaderboard/", leaderboard.leaderboard, name="leaderboard"),
    path("projects/<int:project_id>/leaderboard/ask/", leaderboard.ask_people, name="ask_people"),
    path(
        "projects/<int:project_id>/leaderboard/board.csv",
        leaderboard.board_as_csv,
        name="board_as_csv",
    ),
    path(
        "projects/<int:project_id>/leaderboard/board.json",
        leaderboard.board_as_json,
        name="board_as_json",
    ),
    path(
        "projects/<int:project_id>/leaderboard/votes.csv",
        leaderboard.votes_as_csv,
        name="votes_as_csv",
    ),
    path(
        "projects/<int:project_id>/leaderboard/votes.jsonl",
        leaderboard.votes_as_jsonl,
        name="votes_as_jsonl",
    ),
    path("evaluations/<int:evaluation_id>/", checkpoints.evaluation, name="evaluation"),
    path("tokens/", api_tokens.api_tokens, name="api_tokens"),
    path("tokens/<int:token_id>/revoke/", api_tokens.revoke, name="revoke_api_token"),
    path("v1/models", serving.models, name="v1_models"),
    path("v1/models/<path:name>", serving.model, name="v1_model"),
    path("v1/chat/completions", serving.chat_completions, name="v1_chat_completions"),
    path("v1/<path:rest>", serving.nothing_here, name="v1_nothing_here"),
]
