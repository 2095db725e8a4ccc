"""How far people and projects are."""

from __future__ import annotations

import time
from dataclasses import dataclass

from django.db.models import Count
from django.utils.translation import gettext as _

from annotations.models import (
    AutomaticPause,
    Kind,
    Membership,
    Project,
    Role,
    User,
)
from annotations.selectors.flags import told_why
from annotations.selectors.qualification import closed_kinds
from annotations.selectors.queue import (
    WORK_LIMIT,
    Wanted,
    items_open_to,
    items_skipped_by,
    kinds_with_open_items,
    leases_of,
    number_submitted_today,
    stages,
    submitted_by,
    submitted_since_midnight,
)
from annotations.selectors.standing import Counted, work_counted

COUNT_LIMIT = 1000
"""Waiting work is counted up to here; a page then says "1,000 or more"."""

DONE_LIMIT = 10_000
"""What a person has done is counted up to here; "My work" has the whole of it."""

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
    """Counted up to DONE_LIMIT."""
    done_today: int
    waiting: dict[str, int]
    limit: int = COUNT_LIMIT
    """Each kind's waiting are counted up to here."""

    @property
    def done_shown(self) -> str:
        """Return what was done in all, and whether it is more than was counted."""
        done = f"{self.done:,}"
        return _("%(done)s or more") % {"done": done} if self.done >= DONE_LIMIT else done

    @property
    def waiting_total(self) -> int:
        return sum(self.waiting.values())

    @property
    def waiting_shown(self) -> str:
        """Return the total, and whether there are more than were counted."""
        more = any(count >= self.limit for count in self.waiting.values())
        return f"{self.waiting_total:,}{'+' if more else ''}"


@dataclass(frozen=True)
class HomeCard:
    """One project on the home page of one person."""

    membership: Membership
    project: Project
    progress: Progress
    counted: Counted | None = None
    """How far all work is, for those who lead; None also where it is still to be counted."""
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
    return Progress(
        done=submitted_by(user, project).values("id")[:DONE_LIMIT].count(),
        done_today=submitted_since_midnight(user, project).count(),
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
        waiting={kind: _waiting_at_work(user, project, kind)},
        limit=WORK_LIMIT,
    )


def _waiting_at_work(user: User, project: Project, kind: str) -> int:
    who = (user.pk, project.pk, kind)
    if time.monotonic() < _PLENTY_UNTIL.get(who, 0):
        return WORK_LIMIT
    marks = project.memberships.filter(user=user).values_list("queue_marks", flat=True).first()
    waiting = leases_of(user, project).filter(item__kind=kind).count()
    ahead = stages(user, project, kind, (marks or {}).get(kind, {}), Wanted.TO_COUNT)
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
            counted=work_counted(membership.project) if membership.role in COUNTING else None,
            paused_because=why.get(membership.project_id, ""),
        )
        for membership in memberships
    ]
