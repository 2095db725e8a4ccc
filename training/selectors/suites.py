"""What evaluation suites measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.models import Checkpoint, Run, Stage

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from annotations.models import Project


def suites(checkpoint: Checkpoint) -> QuerySet[Run]:
    """Return the suites that were run on a checkpoint, in any state, newest first."""
    return checkpoint.runs_from.filter(stage=Stage.SUITE).order_by("-id")


def suites_of(project: Project) -> QuerySet[Run]:
    """Return all suites of a project, newest first."""
    return Run.objects.filter(project=project, stage=Stage.SUITE).order_by("-id")


def latest_suite(checkpoint: Checkpoint) -> Run | None:
    """Return the newest suite that came to its end."""
    return suites(checkpoint).filter(state=Run.State.SUCCEEDED).first()


def rival_of(suite: Run) -> Checkpoint | None:
    """Return the checkpoint that a suite measured beside, unless it was deleted since."""
    number = suite.request.get("rival_checkpoint_id")
    return Checkpoint.objects.filter(id=number).first() if number else None
