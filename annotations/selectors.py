"""What pages read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

import numpy as np
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from annotations.algorithms.agreement import Agreement, agreement
from annotations.algorithms.rankings import outcomes_from_ranking
from annotations.models import (
    Annotation,
    Assignment,
    Comparison,
    Completion,
    GuidelineVersion,
    Item,
    Kind,
    Membership,
    Project,
    Prompt,
    RankedCompletion,
    Split,
    User,
)

COUNT_LIMIT = 1000
"""Waiting work is counted up to here; a page then says "1,000 or more"."""

BOOTSTRAP_SEED = 20


@dataclass(frozen=True)
class Progress:
    """What one person has done in a project."""

    done: int
    done_today: int
    by_kind: dict[str, int]
    waiting: dict[str, int]

    @property
    def waiting_total(self) -> int:
        return sum(self.waiting.values())


@dataclass(frozen=True)
class QueueCount:
    """The items of one kind in a project. Places are what overlap asks for, item by item."""

    kind: str
    items: int
    finished: int
    places: int
    open_places: int
    leased: int
    annotations: int

    @property
    def label(self) -> str:
        return Kind(self.kind).label

    @property
    def filled_places(self) -> int:
        return self.places - self.open_places - self.leased


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


@dataclass(frozen=True)
class HomeCard:
    """One project on the home page of one person."""

    membership: Membership
    project: Project
    progress: Progress
    counts: dict[str, QueueCount] = field(default_factory=dict)

    @property
    def paused(self) -> bool:
        return self.membership.state != Membership.State.ACTIVE


def guideline_in_force(project: Project, kind: str) -> GuidelineVersion | None:
    """Return the highest published version of the guidelines for a kind of work."""
    published = project.guideline_versions.filter(kind=kind, published_at__isnull=False)
    return published.order_by("-version").first()


def guideline_draft(project: Project, kind: str) -> GuidelineVersion | None:
    """Return the one unpublished draft of the guidelines for a kind of work."""
    return project.guideline_versions.filter(kind=kind, published_at__isnull=True).first()


def guideline_history(project: Project, kind: str) -> QuerySet[GuidelineVersion]:
    """Return the published versions, newest first, each with its author and its annotations."""
    return (
        project.guideline_versions.filter(kind=kind, published_at__isnull=False)
        .select_related("created_by")
        .annotate(annotation_count=Count("annotations"))
        .order_by("-version")
    )


def members_of(project: Project) -> QuerySet[Membership]:
    """Return everyone in a project, people who sign in first, with what each has done."""
    done = Count(
        "user__annotations",
        filter=Q(user__annotations__item__project=F("project")),
        distinct=True,
    )
    return (
        project.memberships.select_related("user")
        .annotate(annotation_count=done)
        .order_by("-user__is_active", "role", "user__username")
    )


def prompts_of(project: Project, *, search: str = "", split: str = "") -> QuerySet[Prompt]:
    """Return the prompts of a project, newest first, with how much hangs on each."""
    prompts = project.prompts.all()
    if search:
        prompts = prompts.filter(text__icontains=search)
    if split in Split.values:
        prompts = prompts.filter(split=split)
    return prompts.annotate(
        completion_count=Count("completions", distinct=True),
        item_count=Count("items", distinct=True),
    ).order_by("-id")


def shown_completions(assignment: Assignment) -> list[Completion]:
    """Return the completions of an assignment in the order that its annotator sees."""
    by_id = Completion.objects.in_bulk(assignment.shown_order)
    return [by_id[completion_id] for completion_id in assignment.shown_order]


def items_open_to(user: User, project: Project, kind: str) -> QuerySet[Item]:
    """Return the items of a kind that a person may be handed next, in the order of the queue.

    Left out is what they have already had (but for a lease of theirs that ran out), what they
    have annotated, and what shows a text of their own.
    """
    had = Assignment.objects.filter(item=OuterRef("pk"), annotator=user)
    annotated = Annotation.objects.filter(item=OuterRef("pk"), annotator=user)
    own_text = Item.completions.through.objects.filter(item=OuterRef("pk"), completion__author=user)
    return Item.objects.filter(
        ~Exists(had.exclude(state=Assignment.State.EXPIRED)),
        ~Exists(annotated),
        ~Exists(own_text),
        project=project,
        kind=kind,
        open_slots__gt=0,
    ).order_by("-priority", "id")


def work_waiting_for(user: User, project: Project) -> dict[str, int]:
    """Return how many items of each kind wait for a person, counted up to COUNT_LIMIT."""
    leased = dict(
        Assignment.objects.filter(
            annotator=user, item__project=project, state=Assignment.State.LEASED
        )
        .values_list("item__kind")
        .annotate(Count("id"))
    )
    return {
        kind: leased.get(kind, 0) + items_open_to(user, project, kind)[:COUNT_LIMIT].count()
        for kind in Kind.values
    }


def progress_for(user: User, project: Project) -> Progress:
    """Return what a person has done in a project and what waits for them."""
    own = Annotation.objects.filter(annotator=user, item__project=project)
    by_kind = dict(own.values_list("kind").annotate(Count("id")))
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    return Progress(
        done=sum(by_kind.values()),
        done_today=own.filter(created_at__gte=midnight).count(),
        by_kind={kind: by_kind.get(kind, 0) for kind in Kind.values},
        waiting=work_waiting_for(user, project),
    )


def queue_counts(project: Project) -> dict[str, QueueCount]:
    """Return how far the work of each kind is."""
    items = {
        row["kind"]: row
        for row in project.items.values("kind").annotate(
            items=Count("id"),
            places=Sum("overlap"),
            open_places=Sum("open_slots"),
        )
    }
    leased = dict(
        Assignment.objects.filter(item__project=project, state=Assignment.State.LEASED)
        .values_list("item__kind")
        .annotate(Count("id"))
    )
    unfinished = dict(
        project.items.filter(
            Q(open_slots__gt=0)
            | Exists(Assignment.objects.filter(item=OuterRef("pk"), state=Assignment.State.LEASED))
        )
        .values_list("kind")
        .annotate(Count("id"))
    )
    annotations = dict(
        Annotation.objects.filter(item__project=project).values_list("kind").annotate(Count("id"))
    )
    empty = {"items": 0, "places": 0, "open_places": 0}
    return {
        kind: QueueCount(
            kind=kind,
            items=items.get(kind, empty)["items"],
            finished=items.get(kind, empty)["items"] - unfinished.get(kind, 0),
            places=items.get(kind, empty)["places"],
            open_places=items.get(kind, empty)["open_places"],
            leased=leased.get(kind, 0),
            annotations=annotations.get(kind, 0),
        )
        for kind in Kind.values
    }


def home_cards(user: User) -> list[HomeCard]:
    """Return a card for every project that a person is a member of, paused ones included."""
    memberships = (
        Membership.objects.filter(user=user).select_related("project").order_by("project__name")
    )
    return [
        HomeCard(
            membership=membership,
            project=membership.project,
            progress=progress_for(user, membership.project),
            counts=queue_counts(membership.project),
        )
        for membership in memberships
    ]


def agreement_report(project: Project, batch: str | None = None) -> AgreementReport:
    """Return how far people agree in comparisons and rankings, in one batch or in all.

    Every two completions that were judged side by side are a unit; which of them is "first" is
    decided by their ids, because everyone saw them in another order.
    """
    of_project = Q(annotation__item__project=project, annotation__superseded_by__isnull=True)
    if batch is not None:
        of_project &= Q(annotation__item__batch=batch)
    outcomes: dict[str, int] = dict.fromkeys(Comparison.Outcome.values, 0)
    labels: dict[tuple[int, int, int], list[str]] = defaultdict(list)
    people: dict[int, set[int]] = defaultdict(set)
    for item, person, left, right, outcome in _compared(of_project):
        outcomes[outcome] += 1
        people[item].add(person)
        labels[item, min(left, right), max(left, right)].append(_oriented(outcome, left < right))
    for item, person, tiers in _ranked(project, batch):
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


def _ranked(project: Project, batch: str | None) -> Iterator[tuple[int, int, list[list[int]]]]:
    entries = RankedCompletion.objects.filter(
        ranking__annotation__item__project=project,
        ranking__annotation__superseded_by__isnull=True,
    )
    if batch is not None:
        entries = entries.filter(ranking__annotation__item__batch=batch)
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
