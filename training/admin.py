"""Read-only views of training for the operator: runs change in `lifecycle` alone."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from training.models import (
    AuditEntry,
    Checkpoint,
    DatasetSnapshot,
    Evaluation,
    Promotion,
    RegressionResult,
    Round,
    Run,
)


class ReadOnlyAdmin(admin.ModelAdmin):
    """Shows rows and lets nobody change them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = ("id", "project", "stage", "state", "attempt", "step", "device", "heartbeat_at")
    list_filter = ("state", "stage", "project")


@admin.register(DatasetSnapshot)
class DatasetSnapshotAdmin(ReadOnlyAdmin):
    list_display = ("id", "project", "content", "sha256", "created_by", "created_at")
    list_filter = ("content", "project")


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin):
    list_display = ("name", "project", "kind", "parent", "run", "created_at")
    list_filter = ("kind", "project")


@admin.register(Promotion)
class PromotionAdmin(ReadOnlyAdmin):
    list_display = ("checkpoint", "project", "promoted_by", "reason", "created_at")


@admin.register(Evaluation)
class EvaluationAdmin(ReadOnlyAdmin):
    list_display = ("id", "project", "child", "parent", "batch", "created_at")


@admin.register(RegressionResult)
class RegressionResultAdmin(ReadOnlyAdmin):
    list_display = ("id", "checkpoint", "case", "case_version", "passed", "run", "created_at")


@admin.register(Round)
class RoundAdmin(ReadOnlyAdmin):
    list_display = ("number", "project", "policy", "decision", "created_at", "ended_at")


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "project", "user", "action", "subject_name", "reason")
    list_filter = ("action", "project")
