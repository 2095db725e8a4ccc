"""Recording what checkpoints did with regression cases, and closing the tickets behind them.

A ticket follows the promoted checkpoint: it is fixed while that passes its case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import transaction

from annotations import services as annotation_services
from annotations.algorithms.regressions import Check, CheckError, Scores, Verdict, judge
from training import lifecycle, selectors
from training.models import Checkpoint, RegressionResult, Run

if TYPE_CHECKING:
    from annotations.models import Project


@dataclass(frozen=True)
class CaseResult:
    """Whether the answers of a checkpoint passed a case, by one version of its check."""

    case_id: int
    version: int
    passed: bool
    text: str
    answers: Sequence[str] = ()


@transaction.atomic
def record_results(checkpoint: Checkpoint, results: Iterable[CaseResult], run: Run | None) -> None:
    """Keep what a checkpoint did; a ticket closes where the checkpoint is the promoted one."""
    for result in results:
        RegressionResult.objects.create(
            checkpoint=checkpoint,
            case_id=result.case_id,
            case_version=result.version,
            passed=result.passed,
            text=lifecycle.clean(result.text),
            answers=lifecycle.clean(list(result.answers)),
            run=run,
        )
    settle_tickets(checkpoint.project)


def settle_tickets(project: Project) -> None:
    """Close the tickets whose case the promoted checkpoint passes, and take up those it fails."""
    promoted = selectors.promoted_checkpoint(project)
    if promoted is None:
        return
    for checked in selectors.checked_cases(promoted):
        ticket_id, result = checked.case["ticket_id"], checked.result
        if result is None:
            continue
        words = f"{promoted}: {result.text}"
        if result.passed:
            annotation_services.fix_ticket(ticket_id, promoted.pk, words)
        else:
            annotation_services.return_ticket(ticket_id, words)


def results_of(
    cases: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> list[CaseResult]:
    """Return what the sampled rows come to, for each case that a run was asked to try."""
    return [
        _result_of(case, [r for r in rows if r["prompt_id"] == case["prompt_id"]]) for case in cases
    ]


def _result_of(case: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> CaseResult:
    tried = rows[: case["answers"]]
    answers = [row["text"] for row in tried]
    try:
        verdict = judge(
            Check(case["kind"], case["parameters"]),
            case["prompt_text"],
            answers,
            reported=case["reported"],
            scores=_scores(case, tried),
        )
    except CheckError as error:
        verdict = Verdict(False, str(error))
    return CaseResult(case["case_id"], case["version"], verdict.passed, verdict.text, answers)


def _scores(case: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Scores | None:
    """Return what a reward model made of the answers and of the two texts of the case."""
    if not rows or "references" not in rows[0]:
        return None
    reported, rewrite = rows[0]["references"][str(case["case_id"])]
    return Scores([row["sampling"]["score"] for row in rows], reported, rewrite)
