"""The admin site: people can be changed, everything that was collected can only be read.

What is changed here would go past the services, and annotations are never changed at all.
"""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.db import models
from django.http import HttpRequest

from annotations.models import (
    Annotation,
    Assignment,
    Completion,
    GuidelineVersion,
    Item,
    Membership,
    Project,
    Prompt,
    RegressionCase,
    Ticket,
    User,
)

admin.site.register(User, UserAdmin)


class ReadOnlyAdmin(admin.ModelAdmin):
    """A model to look at."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


@admin.register(Project)
class ProjectAdmin(ReadOnlyAdmin):
    list_display = ["id", "name", "created_by", "created_at"]
    search_fields = ["name"]


@admin.register(Membership)
class MembershipAdmin(ReadOnlyAdmin):
    list_display = ["id", "project", "user", "role", "state"]
    list_filter = ["role", "state"]
    list_select_related = ["project", "user"]


@admin.register(GuidelineVersion)
class GuidelineVersionAdmin(ReadOnlyAdmin):
    list_display = ["id", "project", "kind", "version", "created_by", "published_at"]
    list_filter = ["kind"]
    list_select_related = ["project", "created_by"]


@admin.register(Prompt)
class PromptAdmin(ReadOnlyAdmin):
    list_display = ["id", "project", "__str__", "origin", "split"]
    list_filter = ["origin", "split"]
    list_select_related = ["project"]
    search_fields = ["text", "external_id"]


@admin.register(Completion)
class CompletionAdmin(ReadOnlyAdmin):
    list_display = ["id", "prompt", "__str__", "origin", "source_name"]
    list_filter = ["origin"]
    list_select_related = ["prompt"]


@admin.register(Item)
class ItemAdmin(ReadOnlyAdmin):
    list_display = ["id", "project", "kind", "purpose", "batch", "overlap", "open_slots"]
    list_filter = ["kind", "purpose"]
    list_select_related = ["project"]
    search_fields = ["batch"]


@admin.register(Assignment)
class AssignmentAdmin(ReadOnlyAdmin):
    list_display = ["id", "item", "annotator", "state", "leased_at", "lease_until"]
    list_filter = ["state"]
    list_select_related = ["item", "annotator"]


@admin.register(Annotation)
class AnnotationAdmin(ReadOnlyAdmin):
    list_display = ["id", "item", "annotator", "kind", "surplus", "created_at"]
    list_filter = ["kind", "surplus"]
    list_select_related = ["item", "annotator"]


@admin.register(Ticket)
class TicketAdmin(ReadOnlyAdmin):
    list_display = ["id", "project", "completion", "reason", "state", "created_at"]
    list_filter = ["state", "reason"]
    list_select_related = ["project", "completion"]


@admin.register(RegressionCase)
class RegressionCaseAdmin(ReadOnlyAdmin):
    list_display = ["id", "ticket", "kind", "version", "answers", "created_by"]
    list_filter = ["kind"]
    list_select_related = ["ticket", "created_by"]
