"""Taking annotations out of everything that is counted and learned from, and putting them back."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from annotations.models import Membership, Recall, User
from annotations.services.projects import pause_member
from annotations.services.rules import ServiceError, check, leave_to_another, lock

MAX_REASON_CHARS = 2000


@transaction.atomic
def recall(scope: Recall, *, recalled_by: User, reason: str, pause: bool = False) -> Recall:
    """Keep an unsaved recall: from now on what fits it counts no longer.

    With `pause` its annotator is handed nothing more until somebody lets them work again.
    """
    project = scope.project
    lock(project)
    scope.reason = _reason(reason, "Say why; whoever meets the mark on a model will want to know.")
    _check(scope)
    scope.created_by = recalled_by
    scope.save(force_insert=True)
    if pause and scope.annotator is not None:
        members = Membership.objects.filter(project=project, user=scope.annotator)
        for membership in members.exclude(state=Membership.State.PAUSED):
            pause_member(membership)
    return scope


@transaction.atomic
def lift_recall(recall: Recall, *, lifted_by: User, reason: str) -> Recall:
    """Let what fits a recall count again, unless another one fits it too."""
    lock(recall.project)
    about = [recall.annotator] if recall.annotator else []
    leave_to_another(lifted_by, recall.project, about, "This recall is about your own work.")
    reason = _reason(reason, "Say why it counts again.")
    lifted = Recall.objects.filter(id=recall.pk, lifted_at__isnull=True).update(
        lifted_by=lifted_by, lifted_at=timezone.now(), lift_reason=reason
    )
    if not lifted:
        raise ServiceError("This recall was lifted already.")
    recall.refresh_from_db()
    return recall


def _check(scope: Recall) -> None:
    if scope.since and scope.until and scope.since >= scope.until:
        raise ServiceError("The time ends before it begins. Choose an earlier “since”.")
    named = (scope.annotator_id, scope.guideline_version_id, scope.batch, scope.since, scope.until)
    if not any(named):
        raise ServiceError("Choose whom or what to recall: a person, guidelines, a batch, a time.")
    version = scope.guideline_version
    if version is not None and version.project_id != scope.project_id:
        raise ServiceError("Those guidelines belong to another project. Choose some of this one.")
    same = Recall.objects.filter(
        project=scope.project,
        annotator=scope.annotator,
        guideline_version=scope.guideline_version,
        batch=scope.batch,
        since=scope.since,
        until=scope.until,
        lifted_at__isnull=True,
    )
    if same.exists():
        raise ServiceError("This is recalled already.")


def _reason(reason: str, missing: str) -> str:
    reason = check(reason.strip(), "The reason", MAX_REASON_CHARS)
    if not reason:
        raise ServiceError(missing)
    return reason
