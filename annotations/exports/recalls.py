"""What is recalled, what a recall would take out, and what there is to be recalled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, Q, QuerySet

from annotations import kept
from annotations.exports.rows import counted_annotations, pseudonym
from annotations.exports.votes import KINDS as KINDS_OF_VOTES
from annotations.models import (
    GUIDELINE_PARTS,
    Annotation,
    HeldOut,
    Item,
    Kind,
    Project,
    Recall,
    held_out,
    in_force,
    recalled,
    recalls_in_force,
)

RECALLABLE = "recallable"
MOST_BATCHES = 200
"""Batches that a form offers: the newest."""


@dataclass(frozen=True)
class Recalled:
    """What fits a recall, or several: annotations in force, whose and where."""

    annotations: int
    annotators: int
    items: int
    by_kind: list[tuple[str, int]]
    """Kinds of work in words."""
    votes: int
    """Between completions, in comparisons, rankings and conversations."""
    batches: dict[str, int]
    """Of evaluations: how many of their annotations fit."""


@dataclass(frozen=True)
class Recallable:
    """What a person may choose from to say what is recalled: value, words, annotations."""

    annotators: list[tuple[int, str, int]]
    versions: list[tuple[int, str, int]]
    batches: list[tuple[str, str, int]]


def recalls(project_id: int) -> QuerySet[Recall]:
    """Return every recall of a project, newest first, those that were lifted included."""
    related = ("annotator", "guideline_version", "created_by", "lifted_by")
    return Recall.objects.filter(project=project_id).select_related(*related)


def fitting(path: str, recalls: Sequence[Recall]) -> Q:
    """Return the condition that the annotation at `path` fits one of these recalls."""
    found = Q(pk__in=[])
    for recall in recalls:
        found |= recall.fits(path)
    return found


def what_fits(recalls: Sequence[Recall]) -> Recalled:
    """Return what annotations in force fit one of these recalls, saved or not."""
    found = Annotation.objects.filter(fitting("", recalls), in_force()).order_by()
    counts = found.aggregate(
        annotations=Count("id"),
        annotators=Count("annotator", distinct=True),
        items=Count("item", distinct=True),
    )
    kinds = dict(found.values_list("kind").annotate(count=Count("id")))
    evaluated = found.filter(item__purpose=Item.Purpose.EVALUATION)
    return Recalled(
        **counts,
        by_kind=[(kind.label, kinds[kind.value]) for kind in Kind if kind.value in kinds],
        votes=sum(kinds.get(kind, 0) for kind in KINDS_OF_VOTES),
        batches=dict(evaluated.values_list("item__batch").annotate(count=Count("id"))),
    )


def recallable(project: Project) -> tuple[Recallable, datetime | None]:
    """Return whose annotations, under which guidelines and in which batches there are.

    Of a large project as it was counted in the background, and when that was.
    """
    known: kept.Made[Recallable] | None = kept.recall(project, RECALLABLE)
    return (known.value, known.made_at) if known else (_recallable(project.pk), None)


def keep_recallable(project: Project) -> None:
    """Count what can be recalled in a large project, unless that was done a while ago only."""
    kept.keep_up(project, RECALLABLE, lambda: _recallable(project.pk))


def _recallable(project_id: int) -> Recallable:
    given = Annotation.objects.filter(in_force(), item__project=project_id).order_by()
    people = given.values_list(
        "annotator_id", "annotator__first_name", "annotator__last_name", "annotator__username"
    )
    counted = people.annotate(count=Count("id")).order_by("-count", "annotator_id")
    versions = given.filter(guideline_version__isnull=False).values_list(
        "guideline_version_id",
        "guideline_version__kind",
        "guideline_version__version",
    )
    batches = given.exclude(item__batch="").values_list("item__batch")
    newest = batches.annotate(count=Count("id"), last=Max("item_id")).order_by("-last")
    return Recallable(
        annotators=[
            (number, " ".join(filter(None, names)) or username, count)
            for number, *names, username, count in counted
        ],
        versions=[
            (number, f"{dict(GUIDELINE_PARTS)[kind]}, version {version}", count)
            for number, kind, version, count in versions.annotate(count=Count("id")).order_by(
                "guideline_version__kind", "-guideline_version__version"
            )
        ],
        batches=[(batch, batch, count) for batch, count, _ in newest[:MOST_BATCHES]],
    )


def describe(recall: Recall, *, with_name: bool) -> str:
    """Return in words what a recall takes out; people under their pseudonym, or by name, too."""
    parts = []
    if recall.annotator is not None:
        name = pseudonym(recall.annotator.pk)
        parts.append(f"by {recall.annotator} ({name})" if with_name else f"by {name}")
    if recall.guideline_version is not None:
        version = recall.guideline_version
        parts.append(f"under the guidelines “{version.get_kind_display()}”, v{version.version}")
    if recall.batch:
        parts.append(f"in the batch {recall.batch}")
    if recall.since is not None:
        parts.append(f"since {recall.since:%-d %b %Y, %H:%M}")
    if recall.until is not None:
        parts.append(f"before {recall.until:%-d %b %Y, %H:%M}")
    return "All annotations " + ", ".join(parts)


def count_recalled(project_id: int, kinds: Sequence[str]) -> int:
    """Return how many annotations for training of some kinds are left out as recalled."""
    if not recalls_in_force(project_id).exists():
        return 0
    found = Annotation.objects.filter(in_force(), recalled("", project_id), kind__in=kinds)
    return found.filter(item__purpose=Item.Purpose.TRAINING).count()


def count_held_out(project_id: int, kinds: Sequence[str]) -> int:
    """Return how many annotations for training of some kinds are by somebody held out."""
    if not HeldOut.objects.filter(project=project_id).exists():
        return 0
    found = counted_annotations(project_id).filter(held_out(), kind__in=kinds)
    return found.filter(item__purpose=Item.Purpose.TRAINING).count()


def count_judgements(project_id: int, kinds: Sequence[str], after: object = None) -> int:
    """Return how many annotations for training of some kinds count, newer than a moment."""
    found = counted_annotations(project_id).filter(kind__in=kinds)
    found = found.filter(item__purpose=Item.Purpose.TRAINING)
    return (found.filter(created_at__gt=after) if after is not None else found).count()
