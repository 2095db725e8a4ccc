"""What blind comparisons say of a checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Count, F, QuerySet

from annotations import exports
from annotations.algorithms import gate
from annotations.algorithms.confidence_sequence import AnytimeInterval
from annotations.algorithms.winrate import WinRate, win_rate
from training.models import DatasetSnapshot, Evaluation

if TYPE_CHECKING:
    from annotations.models import Item, Project


Content = DatasetSnapshot.Content
ANSWERED_SHARE = 0.95
"""Of an evaluation's items, how many must be answered before its interval decides anything.

The interval holds for a number of judgements fixed beforehand, so stopping at the first good
one would flatter; until then `result_so_far` decides. A few items are left over because everybody
skipped them.
"""
SCORES = {"tie": 0.5, "both_bad": 0.5}


@dataclass(frozen=True)
class BatchProgress:
    """How many items of a batch there are, and how many have all their annotations."""

    items: int
    answered: int

    @property
    def is_complete(self) -> bool:
        """Return whether (nearly) everything is answered."""
        return self.items > 0 and self.answered >= self.items * ANSWERED_SHARE


def evaluation_result(evaluation: Evaluation) -> WinRate:
    """Return the child's win rate, computed from the annotations as they are now.

    Ties and both-bad count one half. So does a pair of equal texts, which nobody is asked about,
    and an empty answer loses against one that says something: each once for every vote that it
    would have had. To leave such pairs out would flatter a checkpoint that often says nothing or
    repeats its parent. While votes are wanted and none is cast n is 0 and the interval is 0 to 1.
    """
    return evaluation_results([evaluation])[evaluation.pk]


def evaluation_results(evaluations: Collection[Evaluation]) -> dict[int, WinRate]:
    """Return the win rates of some evaluations of one project, by evaluation."""
    return {
        one.pk: win_rate([*votes, *(_certain(one) if votes or needs_nobody(one) else [])])
        for one, votes in _judged_in(evaluations)
    }


def result_so_far(evaluation: Evaluation) -> AnytimeInterval:
    """Return the rate over the prompts that are finished, with an interval for every look.

    A prompt is finished once each of its items has its votes. What nobody is asked about is let
    in between at places drawn by lot, the same at every look.
    """
    return gate.so_far([_contest(one) for one in of_same_pair(evaluation)])


def gate_result(evaluation: Evaluation) -> WinRate | AnytimeInterval:
    """Return what the gate goes by, over all evaluations of the same two checkpoints."""
    return gate.deciding([_contest(one) for one in of_same_pair(evaluation)])


def of_same_pair(evaluation: Evaluation) -> list[Evaluation]:
    """Return the evaluations of this child against this parent that people judge, oldest first.

    To repeat an evaluation until one of them passes would be a new chance of error each time.
    """
    same = Evaluation.objects.filter(child=evaluation.child_id, parent=evaluation.parent_id)
    others = same.exclude(id=evaluation.pk).select_related("project", "run")
    found = [one for one in others if _has_pairs(one)]
    return sorted([evaluation, *found], key=lambda one: one.pk)


def _has_pairs(evaluation: Evaluation) -> bool:
    items = evaluation.project.items.filter(batch=evaluation.batch)
    return bool(_certain(evaluation)) or items.exists()


def _contest(evaluation: Evaluation) -> gate.Contest:
    items = evaluation.project.items.filter(batch=evaluation.batch)
    open_items = items.exclude(pk__in=_answered_items(items).values("pk"))
    progress = batch_progress(evaluation.project, evaluation.batch)
    return gate.Contest(
        judged=_judged(evaluation),
        certain=_certain(evaluation),
        asked=set(items.values_list("prompt_id", flat=True)),
        unfinished=set(open_items.values_list("prompt_id", flat=True)),
        is_complete=progress.is_complete or needs_nobody(evaluation),
        seed=evaluation.pk,
    )


def _judged(evaluation: Evaluation) -> list[tuple[int, float]]:
    """Return the prompt and the score of each vote that somebody cast, the oldest first."""
    ((_, votes),) = _judged_in([evaluation])
    return votes


def _judged_in(
    evaluations: Collection[Evaluation],
) -> Iterator[tuple[Evaluation, list[tuple[int, float]]]]:
    """Yield evaluations of one project, each with the prompt and the score of each vote."""
    by_batch: dict[str, list[exports.EvaluationVote]] = {one.batch: [] for one in evaluations}
    for project_id in {one.project_id for one in evaluations}:
        for vote in exports.evaluation_votes(project_id, by_batch):
            by_batch[vote.batch].append(vote)
    for one in evaluations:
        yield one, [(vote.prompt_id, _score(vote, one.child_id)) for vote in by_batch[one.batch]]


@dataclass(frozen=True)
class Certain:
    """Votes that nobody had to cast, as an evaluation counts them."""

    equal_texts: int
    """Ties, because both checkpoints wrote the same."""
    empty_won: int
    """Won, because the parent's answer is empty."""
    empty_lost: int
    """Lost, because the child's answer is empty."""

    def __str__(self) -> str:
        empty = self.empty_won + self.empty_lost
        parts = [
            f"{self.equal_texts} of them ties of equal texts" if self.equal_texts else "",
            f"{empty} decided by an empty answer" if empty else "",
        ]
        return ", ".join(filter(None, parts))


def certain(evaluation: Evaluation) -> Certain:
    """Return how many votes of an evaluation nobody had to cast."""
    scores = [score for _, score in _certain(evaluation)]
    return Certain(scores.count(0.5), scores.count(1.0), scores.count(0.0))


def needs_nobody(evaluation: Evaluation) -> bool:
    """Return whether every pair was certain, so that no votes are wanted."""
    if not _certain(evaluation):
        return False
    return not evaluation.project.items.filter(batch=evaluation.batch).exists()


def _certain(evaluation: Evaluation) -> list[tuple[int, float]]:
    """Return the prompt and the score of each vote that nobody had to cast."""
    results = evaluation.run.results
    return [
        *((prompt, 0.5) for prompt in results.get("equal_prompts", [])),
        *(
            (prompt, 0.0 if loser == evaluation.child_id else 1.0)
            for prompt, loser in results.get("empty_answers", [])
        ),
    ]


def batch_progress(project: Project, batch: str) -> BatchProgress:
    """Return how far people are with the items that one sample run made.

    An item without open slots may still lack an answer: one was taken back, or is being written.
    """
    items = project.items.filter(batch=batch)
    return BatchProgress(items.count(), _answered_items(items).count())


def _answered_items(items: QuerySet[Item]) -> QuerySet[Item]:
    given = Count("annotations", filter=exports.in_force("annotations__"))
    return items.annotate(given=given).filter(open_slots=0, given__gte=F("overlap"))


def share(value: float | None) -> str:
    return "unknown" if value is None else f"{value * 100:.0f} %"


def _score(vote: exports.EvaluationVote, child_id: int) -> float:
    """Return what a judgement says for the child: 1 for a win, 0 for a loss, one half between."""
    if vote.outcome in SCORES:
        return SCORES[vote.outcome]
    side = vote.left_checkpoint_id if vote.outcome == "left" else vote.right_checkpoint_id
    return 1.0 if side == child_id else 0.0
