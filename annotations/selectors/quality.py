"""How far people agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np
from django.db.models import Q

from annotations.algorithms.agreement import Agreement, agreement
from annotations.algorithms.rankings import outcomes_from_ranking
from annotations.models import Comparison, Item, Project, RankedCompletion, counted

BOOTSTRAP_SEED = 20


@dataclass(frozen=True)
class AgreementReport:
    """How far people agree on what more than one of them judged."""

    statistics: Agreement
    items: int
    annotators: int
    outcomes: dict[str, int]
    """Comparisons by outcome, those judged by one person alone included."""

    @property
    def comparisons(self) -> int:
        return sum(self.outcomes.values())


def agreement_report(project: Project, batch: str | None = None) -> AgreementReport:
    """Return how far people agree in comparisons and rankings, in one batch or in all.

    Every two completions that were judged side by side are a unit; which of them is "first" is
    decided by their ids, because everyone saw them in another order.

    Gold items are left out. They were chosen because their answer is clear, and everybody is asked
    them, so a few of them would outweigh the work and make it look more agreed upon than it is.
    """
    outcomes: dict[str, int] = dict.fromkeys(Comparison.Outcome.values, 0)
    labels: dict[tuple[int, int, int], list[str]] = defaultdict(list)
    people: dict[int, set[int]] = defaultdict(set)
    for item, person, left, right, outcome in _compared(_judged("annotation__", project, batch)):
        outcomes[outcome] += 1
        people[item].add(person)
        labels[item, min(left, right), max(left, right)].append(_oriented(outcome, left < right))
    for item, person, tiers in _ranked(_judged("ranking__annotation__", project, batch)):
        people[item].add(person)
        for first, second, label in outcomes_from_ranking(tiers):
            labels[item, first, second].append(label)
    shared = [item for item, who in people.items() if len(who) > 1]
    return AgreementReport(
        statistics=agreement(
            list(labels.values()),
            clusters=[item for item, _, _ in labels],
            rng=np.random.default_rng(BOOTSTRAP_SEED),
        ),
        items=len(shared),
        annotators=len(set().union(*(people[item] for item in shared))),
        outcomes=outcomes,
    )


def _judged(path: str, project: Project, batch: str | None) -> Q:
    """Return the condition that the annotation at `path` is one of those that are reported on."""
    judged = counted(path, project.pk) & Q(**{f"{path}item__project": project})
    # Who decides about what others said saw it before.
    judged &= Q(**{f"{path}adjudication__isnull": True})
    if batch is not None:
        judged &= Q(**{f"{path}item__batch": batch})
    return judged & ~Q(**{f"{path}item__purpose": Item.Purpose.GOLD})


def _compared(condition: Q) -> Iterable[tuple[int, int, int, int, str]]:
    return (
        Comparison.objects.filter(condition)
        .order_by("annotation_id")
        .values_list(
            "annotation__item_id", "annotation__annotator_id", "left_id", "right_id", "outcome"
        )
        .iterator(chunk_size=2000)
    )


def _oriented(outcome: str, left_is_first: bool) -> str:
    if outcome not in ("left", "right"):
        return outcome
    return "first" if (outcome == "left") == left_is_first else "second"


def _ranked(condition: Q) -> Iterator[tuple[int, int, list[list[int]]]]:
    entries = RankedCompletion.objects.filter(condition)
    rows = entries.order_by("ranking_id", "tier", "completion_id").values_list(
        "ranking_id",
        "ranking__annotation__item_id",
        "ranking__annotation__annotator_id",
        "tier",
        "completion_id",
    )
    for (_, item, person), group in groupby(rows.iterator(chunk_size=2000), itemgetter(0, 1, 2)):
        tiers = [[row[4] for row in tied] for _, tied in groupby(group, key=itemgetter(3))]
        yield item, person, tiers
