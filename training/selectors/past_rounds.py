"""What each round came to and what it cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Count

from annotations import exports
from annotations.algorithms.winrate import WinRate
from training.models import Round, Run
from training.pipeline.evaluate import Share
from training.selectors.board import win_rate_against_first
from training.selectors.evaluations import evaluation_results

if TYPE_CHECKING:
    from annotations.models import Project


@dataclass(frozen=True)
class PastRound:
    """One ended round in figures, each of which has a page that it comes from."""

    round: Round
    result: WinRate | None
    """Of the child against its parent."""
    against_first: Share | None
    """Of the child against the project's first promoted checkpoint, by all votes (`board`)."""
    accuracy: Share | None
    """Of the reward model, on held-out judgements."""
    people: Share | None
    """How often two people agree on such judgements: what a reward model can reach."""
    labels: int
    votes: int
    seconds: float
    """That its runs took, without the time of people."""


def past_rounds(project: Project) -> list[PastRound]:
    """Return the ended rounds of a project, newest first."""
    runs = ("sample_run", "reward_run", "policy_run__checkpoint", "suite_run", "evaluation__run")
    ended = project.rounds.filter(ended_at__isnull=False)
    rounds = list(ended.select_related("policy", *runs, "evaluation__project", "promotion"))
    against = win_rate_against_first(project) if rounds else []
    rates = {one.checkpoint.pk: Share(one.rate, one.low, one.high, one.n) for one in against}
    results = evaluation_results([one.evaluation for one in rounds if one.evaluation])
    answers = _answers(project, [batch for one in rounds for batch in _batches(one)])
    return [_measured(one, rates, results, answers) for one in rounds]


def _batches(one: Round) -> tuple[str, str]:
    """Return what was sampled to learn from and what to evaluate; empty for what was not."""
    return (
        one.sample_run.request["batch"] if one.sample_run else "",
        one.evaluation.batch if one.evaluation else "",
    )


def _measured(
    one: Round,
    against_first: Mapping[int, Share],
    results: Mapping[int, WinRate],
    answers: Mapping[str, int],
) -> PastRound:
    found = one.reward_run.results if one.reward_run else {}
    evaluation = one.evaluation
    result = results[evaluation.pk] if evaluation else None
    runs = (one.sample_run, one.reward_run, one.policy_run, one.suite_run)
    sampled, evaluated = _batches(one)
    return PastRound(
        round=one,
        result=result if result and result.n else None,
        against_first=against_first.get(evaluation.child_id) if evaluation else None,
        accuracy=_share(
            {
                "value": found.get("heldout_accuracy"),
                "low": found.get("heldout_low"),
                "high": found.get("heldout_high"),
                "n": found.get("heldout_pairs", 0),
            }
        ),
        people=_share(found.get("human_agreement") or {}),
        labels=answers.get(sampled, 0),
        votes=answers.get(evaluated, 0),
        seconds=sum(map(_seconds, [*runs, evaluation.run if evaluation else None])),
    )


def _share(found: dict[str, Any]) -> Share | None:
    value = found.get("value")
    if value is None:
        return None
    low, high = found.get("low"), found.get("high")
    return Share(value, value if low is None else low, value if high is None else high, found["n"])


def _answers(project: Project, batches: Collection[str]) -> dict[str, int]:
    """Return how many annotations are in force on the items of each batch."""
    items = project.items.filter(batch__in=[batch for batch in batches if batch])
    given = Count("annotations", filter=exports.in_force("annotations__"))
    return dict(items.values_list("batch").annotate(given=given).order_by())


def _seconds(run: Run | None) -> float:
    if run is None or run.started_at is None or run.ended_at is None:
        return 0.0
    return (run.ended_at - run.started_at).total_seconds()
