"""The votes of an evaluation, and its examples once all votes are in.

Examples name who wrote what, so they stay hidden while anybody may still be asked to vote.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from django.db.models import Count, F, Prefetch

from annotations.exports import counted_annotations, in_force
from training.models import Evaluation
from training.selectors import ANSWERED_SHARE

Verdict = Literal["child", "tie", "both_bad", "parent"]


@dataclass(frozen=True)
class Votes:
    """How many votes an evaluation wants and has."""

    items: int
    wanted: int
    given: int
    waiting: int
    """Items that still lack a vote."""

    @property
    def are_in(self) -> bool:
        """Return whether (nearly) every item has its votes, as the gate counts it."""
        return self.items > 0 and self.items - self.waiting >= self.items * ANSWERED_SHARE


@dataclass(frozen=True)
class Example:
    """One prompt with both answers and what people said."""

    item_id: int
    prompt: str
    child: str
    parent: str
    verdicts: list[Verdict]


def votes(evaluation: Evaluation) -> Votes:
    """Return how many votes are in, counting no item beyond its overlap."""
    counted = _counted(evaluation).values_list("given", "overlap")
    return Votes(
        items=len(counted),
        wanted=sum(overlap for _, overlap in counted),
        given=sum(min(given, overlap) for given, overlap in counted),
        waiting=sum(given < overlap for given, overlap in counted),
    )


def examples(evaluation: Evaluation, most: int = 20) -> list[Example]:
    """Return prompts with both answers and the verdicts; nothing while votes are missing."""
    if not votes(evaluation).are_in:
        return []
    items = _counted(evaluation).filter(given__gte=F("overlap")).select_related("prompt")
    said = counted_annotations(evaluation.project_id)
    said = said.select_related("comparison__left", "comparison__right")
    items = items.order_by("id").prefetch_related(
        "completions", Prefetch("annotations", said, to_attr="verdicts")
    )
    found = (_example(evaluation, item) for item in items[:most])
    return [example for example in found if example is not None]


def tally(example: Example, evaluation: Evaluation) -> str:
    """Return the verdicts in words: `2 for ppo-6, 1 tie`."""
    words = {
        "child": f"for {evaluation.child}",
        "parent": f"for {evaluation.parent}",
        "tie": "tie",
        "both_bad": "both bad",
    }
    counts = Counter(example.verdicts)
    return ", ".join(f"{n} {words[verdict]}" for verdict, n in counts.most_common())


def _counted(evaluation: Evaluation) -> Any:
    """Return the items of the evaluation, each with how many votes it was given."""
    items = evaluation.project.items.filter(batch=evaluation.batch, purpose="evaluation")
    return items.annotate(given=Count("annotations", filter=in_force("annotations__")))


def _example(evaluation: Evaluation, item: Any) -> Example | None:
    texts = {completion.checkpoint_id: completion.text for completion in item.completions.all()}
    if not {evaluation.child_id, evaluation.parent_id} <= set(texts):
        return None
    return Example(
        item_id=item.pk,
        prompt=item.prompt.text,
        child=texts[evaluation.child_id],
        parent=texts[evaluation.parent_id],
        verdicts=[_verdict(evaluation, annotation.comparison) for annotation in item.verdicts],
    )


def _verdict(evaluation: Evaluation, comparison: Any) -> Verdict:
    if comparison.outcome in ("tie", "both_bad"):
        return "tie" if comparison.outcome == "tie" else "both_bad"
    better = comparison.left if comparison.outcome == "left" else comparison.right
    return "child" if better.checkpoint_id == evaluation.child_id else "parent"
