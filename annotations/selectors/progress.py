"""How far people and projects are."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from django.db.models import Count, Exists, OuterRef, Q, Sum

from annotations.models import (
    Annotation,
    Assignment,
    AutomaticPause,
    Item,
    Kind,
    Membership,
    Project,
    Role,
    User,
    counted,
    in_force,
)
from annotations.selectors.flags import told_why
from annotations.selectors.qualification import closed_kinds
from annotations.selectors.queue import (
    LEASED,
    WORK_LIMIT,
    Reading,
    items_open_to,
    items_skipped_by,
    kinds_with_open_items,
    leases_of,
    number_submitted_today,
    stages,
    submitted_since_midnight,
)

COUNT_LIMIT = 1000
"""Waiting work is counted up to here; a page then says "1,000 or more"."""

COUNTING = (Role.OWNER, Role.ENGINEER)
"""Who sees how far a whole project is, which takes a look at all of it."""

PLENTY_SECONDS = 20
"""How long a page of work says "100 or more" without counting again."""

MOST_REMEMBERED = 10_000
"""Of how many people with how many kinds of work it is known that plenty waits."""

_PLENTY_UNTIL: dict[tuple[int, int, str], float] = {}
"""Until when this process need not count again, by person, project and kind."""


@dataclass(frozen=True)
class Progress:
    """What one person has done in a project."""

    done: int
    done_today: int
    by_kind: dict[str, int]
    waiting: dict[str, int]
    limit: int = COUNT_LIMIT
    """Each kind's waiting are counted up to here."""

    @property
    def waiting_total(self) -> int:
        return sum(self.waiting.values())

    @property
    def waiting_shown(self) -> str:
        """Return the total, and whether there are more than were counted."""
        more = any(count >= self.limit for count in self.waiting.values())
        return f"{self.waiting_total:,}{'+' if more else ''}"


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
class HomeCard:
    """One project on the home page of one person."""

    membership: Membership
    project: Project
    progress: Progress
    counts: dict[str, QueueCount] = field(default_factory=dict)
    paused_because: str = ""
    """Why a flag has paused the person, where an owner is still to decide."""

    @property
    def paused(self) -> bool:
        return self.membership.state != Membership.State.ACTIVE


def work_waiting_for(user: User, project: Project) -> dict[str, int]:
    """Return how many items of each kind wait for a person, counted up to COUNT_LIMIT.

    What they hold waits for them in any case; nothing new does while the project is paused.
    """
    waiting = dict.fromkeys(Kind.values, 0)
    for kind, held in (
        leases_of(user, project).order_by().values_list("item__kind").annotate(Count("id"))
    ):
        waiting[kind] = held
    if project.is_paused:
        return waiting
    closed = {one.kind for one in closed_kinds(user, project)}
    for kind in kinds_with_open_items(project):
        if kind in closed:
            continue
        waiting[kind] += items_open_to(user, project, kind)[:COUNT_LIMIT].count()
        if project.skip_policy == Project.SkipPolicy.LATER:
            waiting[kind] += items_skipped_by(user, project, kind)[:COUNT_LIMIT].count()
    return waiting


def progress_for(user: User, project: Project) -> Progress:
    """Return what a person has done in a project and what waits for them."""
    own = Annotation.objects.filter(in_force(), annotator=user, item__project=project)
    own = own.exclude(item__purpose=Item.Purpose.ARENA)
    by_kind = dict(own.values_list("kind").annotate(Count("id")))
    return Progress(
        done=sum(by_kind.values()),
        done_today=submitted_since_midnight(user, project).count(),
        by_kind={kind: by_kind.get(kind, 0) for kind in Kind.values},
        waiting=work_waiting_for(user, project),
    )


def progress_at_work(user: User, project: Project, kind: str) -> Progress:
    """Return what a person has done today and what waits for them of the kind they are at.

    This is on every page of work, so nothing here grows with the project or with what they did
    before today: the waiting are counted up to WORK_LIMIT, from where they are in the queue.
    """
    done = number_submitted_today(user, project)
    return Progress(
        done=done,
        done_today=done,
        by_kind={},
        waiting={kind: _waiting_at_work(user, project, kind)},
        limit=WORK_LIMIT,
    )


def _waiting_at_work(user: User, project: Project, kind: str) -> int:
    who = (user.pk, project.pk, kind)
    if time.monotonic() < _PLENTY_UNTIL.get(who, 0):
        return WORK_LIMIT
    marks = project.memberships.filter(user=user).values_list("queue_marks", flat=True).first()
    waiting = leases_of(user, project).filter(item__kind=kind).count()
    ahead = stages(user, project, kind, (marks or {}).get(kind, {}), Reading.TO_COUNT)
    for items in ahead:
        waiting += len(items)
        if waiting >= WORK_LIMIT:
            break
    else:
        return waiting
    if len(_PLENTY_UNTIL) > MOST_REMEMBERED:
        _PLENTY_UNTIL.clear()
    _PLENTY_UNTIL[who] = time.monotonic() + PLENTY_SECONDS
    return WORK_LIMIT


def queue_counts(project: Project) -> dict[str, QueueCount]:
    """Return how far the work of each kind is, gold items and battles apart: they never end."""
    items = {
        row["kind"]: row
        for row in project.items.exclude(purpose__in=Item.ASIDE)
        .values("kind")
        .annotate(
            items=Count("id"),
            places=Sum("overlap"),
            open_places=Sum("open_slots"),
        )
    }
    leased = dict(
        Assignment.objects.filter(LEASED, item__project=project)
        .exclude(item__purpose__in=Item.ASIDE)
        .values_list("item__kind")
        .annotate(Count("id"))
    )
    unfinished = dict(
        project.items.exclude(purpose__in=Item.ASIDE)
        .filter(
            Q(open_slots__gt=0)
            | Exists(Assignment.objects.filter(item=OuterRef("pk"), state=Assignment.State.LEASED))
        )
        .values_list("kind")
        .annotate(Count("id"))
    )
    annotations = dict(
        Annotation.objects.filter(counted("", project.pk), item__project=project)
        .exclude(item__purpose__in=Item.ASIDE)
        .values_list("kind")
        .annotate(Count("id"))
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
    pauses = AutomaticPause.objects.filter(person=user, ended_at=None)
    why = {one.project_id: told_why(one) for one in pauses}
    return [
        HomeCard(
            membership=membership,
            project=membership.project,
            progress=progress_for(user, membership.project),
            counts=queue_counts(membership.project) if membership.role in COUNTING else {},
            paused_because=why.get(membership.project_id, ""),
        )
        for membership in memberships
    ]
