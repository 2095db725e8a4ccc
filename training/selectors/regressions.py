"""Faults that were reported once: which checkpoints show them, and which may not be promoted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from annotations import exports
from training.models import Checkpoint, DatasetSnapshot, RegressionResult, Run

if TYPE_CHECKING:
    from annotations.models import Project, Ticket


@dataclass(frozen=True)
class CheckedCase:
    """A regression case that binds, and what a checkpoint did with it by its present check."""

    case: exports.RegressionRow
    result: RegressionResult | None

    @property
    def name(self) -> str:
        """Return what a case is called in sentences: its ticket, and what was wrong."""
        reason = self.case["reason"].removeprefix("It ")
        return f"Ticket {self.case['ticket_id']} ({reason[:1].lower()}{reason[1:]})"


@dataclass(frozen=True)
class TicketWay:
    """How a ticket's rewrite came into models: snapshots, runs on them, what they then answered."""

    snapshots: list[DatasetSnapshot]
    runs: list[Run]
    results: list[RegressionResult]
    """The newest of each checkpoint by the present check, the newest checkpoint first."""


def regression_cases(project: Project) -> list[exports.RegressionRow]:
    """Return the cases that every checkpoint is held against before it is promoted."""
    return list(exports.regression_cases(project.pk))


def checked_cases(checkpoint: Checkpoint) -> list[CheckedCase]:
    """Return every case that binds, with what the checkpoint did last by its present check."""
    found: dict[tuple[int, int], RegressionResult] = {}
    for result in RegressionResult.objects.filter(checkpoint=checkpoint).order_by("id"):
        found[result.case_id, result.case_version] = result
    cases = exports.regression_cases(checkpoint.project_id)
    return [CheckedCase(case, found.get((case["case_id"], case["version"]))) for case in cases]


def regressions_failed(checkpoint: Checkpoint) -> list[str]:
    """Return a sentence for each reported fault that keeps a checkpoint from being promoted.

    A fault that was fixed must not come back, and every case must have been tried. One that no
    promoted checkpoint has mastered yet keeps nobody back: it would lock the gate for good.
    """
    sentences = (_sentence(checked, checkpoint) for checked in checked_cases(checkpoint))
    return [sentence for sentence in sentences if sentence]


def ticket_way(ticket: Ticket) -> TicketWay:
    """Return how far a ticket's rewrite has come."""
    rewrite = exports.rewrite_of(ticket)
    snapshots = _snapshots_with(rewrite.annotation_id) if rewrite else []
    runs = Run.objects.filter(snapshot__in=snapshots).select_related("checkpoint", "snapshot")
    return TicketWay(snapshots, list(runs.order_by("-id")), _newest_results(ticket))


def _sentence(checked: CheckedCase, checkpoint: Checkpoint) -> str:
    if checked.result is None:
        wants_model = checked.case["kind"] == "reward"
        with_model = " with a reward model of the same base" if wants_model else ""
        return (
            f"{checked.name} was not tried on {checkpoint}. Run the regression cases{with_model} "
            "first."
        )
    if checked.result.passed or not checked.case["is_fixed"]:
        return ""
    return f"{checked.name} fails again: {checked.result.text} Train the fault out first."


def _snapshots_with(annotation_id: int) -> list[DatasetSnapshot]:
    return list(DatasetSnapshot.objects.filter(links__annotation=annotation_id).order_by("-id"))


def _newest_results(ticket: Ticket) -> list[RegressionResult]:
    results = RegressionResult.objects.filter(case__ticket=ticket).select_related(
        "checkpoint", "run", "case"
    )
    newest: dict[int, RegressionResult] = {}
    for result in results.order_by("id"):
        if result.case_version == result.case.version:
            newest[result.checkpoint_id] = result
    return sorted(newest.values(), key=lambda result: -result.checkpoint_id)
