"""What evaluation suites measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.models import Checkpoint, RegressionResult, Run, Stage
from training.selectors.regressions import CheckedCase

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from annotations.models import Project


@dataclass(frozen=True)
class TriedCase:
    """A regression case as a suite tried it: by the check of that time."""

    child: CheckedCase
    parent: CheckedCase


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


def tried_cases(suite: Run) -> list[TriedCase]:
    """Return the regression cases that a suite tried, with what either checkpoint did."""
    found: dict[tuple[int, bool], RegressionResult] = {
        (one.case_id, one.checkpoint_id == suite.parent_id): one
        for one in suite.regression_results.all()
    }
    return [
        TriedCase(*(CheckedCase(case, found.get((case["case_id"], own))) for own in (True, False)))
        for case in suite.request.get("cases", [])
        if found
    ]
