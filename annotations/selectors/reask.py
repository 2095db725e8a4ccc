"""What might come out otherwise by new guidelines, and what asking again found."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from django.db.models import Q

from annotations.algorithms import reask as algorithm
from annotations.algorithms.clauses import Clause, changed_clauses
from annotations.algorithms.reask import Judged, Scored, Share
from annotations.models import (
    Comparison,
    GuidelineVersion,
    Item,
    Kind,
    Membership,
    Project,
    Reask,
    ReaskedItem,
    counted,
)

MOST_CANDIDATES = 5_000
"""Answers that are looked through, the newest first: what is older teaches little any more."""


@dataclass(frozen=True)
class Prospect:
    """What could be asked again, ranked."""

    changed: list[Clause]
    scored: list[Scored]
    sources: dict[int, int]
    """The newest earlier answer to each item."""
    nobody_left: int
    """Items that every active member has judged already."""

    @property
    def useful(self) -> int:
        return algorithm.useful(self.scored)


@dataclass(frozen=True)
class ArmResult:
    """What came back of one arm."""

    name: str
    asked: int
    flips: Share


@dataclass(frozen=True)
class ReaskResult:
    """What asking again found."""

    reask: Reask
    arms: list[ArmResult]
    difference: tuple[float, float, float] | None


def prospect(project: Project, since: GuidelineVersion, now: GuidelineVersion) -> Prospect:
    """Return what was compared by `since` or earlier, ranked by how likely it comes out otherwise.

    Left out is what was asked again before, and what every active member has judged: nobody is
    asked the same twice.
    """
    changed, _ = changed_clauses(since.full_text, now.full_text)
    texts = [clause.body for clause in changed]
    texts += [f"{c.prompt} {c.first} {c.second}" for clause in changed for c in clause.cases]
    judged, sources, nobody_left = _judged(project, since)
    return Prospect(changed, algorithm.score(judged, texts), sources, nobody_left)


def reask_results(project: Project) -> list[ReaskResult]:
    """Return every act of asking again with what it found, the newest first."""
    asked: dict[int, list[tuple[ReaskedItem, bool | None]]] = defaultdict(list)
    items = ReaskedItem.objects.filter(reask__project=project).select_related("source__comparison")
    new = {
        comparison.annotation.item_id: comparison
        for comparison in Comparison.objects.filter(
            counted("annotation__", project.pk), annotation__item__reasked__reask__project=project
        )
        .select_related("annotation")
        .order_by("-annotation_id")
    }
    for one in items:
        answer = new.get(one.item_id)
        flipped = None if answer is None else _choice(answer) != _choice(one.source.comparison)
        asked[one.reask_id].append((one, flipped))
    reasks = project.reasks.select_related("version", "since", "created_by")
    return [_result(reask, asked[reask.pk]) for reask in reasks]


def _judged(project: Project, since: GuidelineVersion) -> tuple[list[Judged], dict[int, int], int]:
    older = Q(annotation__guideline_version__isnull=True) | Q(
        annotation__guideline_version__kind=Kind.COMPARISON,
        annotation__guideline_version__version__lte=since.version,
    )
    rows = (
        Comparison.objects.filter(
            counted("annotation__", project.pk),
            older,
            annotation__item__project=project,
            annotation__item__kind=Kind.COMPARISON,
            annotation__item__purpose=Item.Purpose.TRAINING,
            annotation__item__reasked__isnull=True,
        )
        .select_related("annotation__item__prompt", "left", "right")
        .order_by("-annotation_id")[:MOST_CANDIDATES]
    )
    by_item: dict[int, list[Comparison]] = defaultdict(list)
    for row in rows:
        by_item[row.annotation.item_id].append(row)
    done = set(
        ReaskedItem.objects.filter(reask__project=project).values_list("source__item_id", flat=True)
    )
    active = set(
        project.memberships.filter(state=Membership.State.ACTIVE).values_list("user_id", flat=True)
    )
    judged, sources, nobody_left = [], {}, 0
    for item_id, found in by_item.items():
        if item_id in done:
            continue
        if active <= {one.annotation.annotator_id for one in found}:
            nobody_left += 1
            continue
        sources[item_id] = found[0].annotation_id
        judged.append(
            Judged(
                item_id,
                f"{found[0].annotation.item.prompt.text} {found[0].left.text} "
                f"{found[0].right.text}",
                tuple(map(_choice, found)),
                tuple(one.strength for one in found),
            )
        )
    return judged, sources, nobody_left


def _choice(comparison: Comparison) -> str:
    """Return what was chosen, whatever side it was shown on."""
    if comparison.outcome == Comparison.Outcome.LEFT:
        return str(comparison.left_id)
    if comparison.outcome == Comparison.Outcome.RIGHT:
        return str(comparison.right_id)
    return comparison.outcome


def _result(reask: Reask, asked: list[tuple[ReaskedItem, bool | None]]) -> ReaskResult:
    arms = []
    for arm in ReaskedItem.Arm:
        flips = [flipped for one, flipped in asked if one.arm == arm]
        answered = [flipped for flipped in flips if flipped is not None]
        arms.append(ArmResult(str(arm.label), len(flips), Share(sum(answered), len(answered))))
    return ReaskResult(reask, arms, algorithm.difference(arms[0].flips, arms[1].flips))
