"""Leases: who is handed which item next. Apart from the services, the only writer.

What holds however many people ask at once: a place of an item is taken by one conditional UPDATE,
a person has one assignment of an item at most (a constraint), and leases run out by the clock of
the database. Row locks, where the database has them, only keep people from waiting on each other.
"""

from __future__ import annotations

import random
from datetime import timedelta

from django.db import IntegrityError, connection, transaction
from django.db.models import F, QuerySet
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from annotations.models import Assignment, Item, Kind, Membership, Project, User
from annotations.selectors import guideline_in_force, items_open_to

CANDIDATES = 10
"""How many items are tried at a time, should others take them first."""

ATTEMPTS = 20
"""How often candidates are looked up again when others took every one of them."""

_SYSTEM_RANDOM = random.SystemRandom()


def lease_next(
    user: User,
    project: Project,
    kind: str | None = None,
    *,
    rng: random.Random = _SYSTEM_RANDOM,
) -> Assignment | None:
    """Hand a person their next item, or the one that they already hold.

    Return None where nothing waits for them, or where they are not an active member.
    """
    release_expired(project)
    with transaction.atomic():
        if not _lock_active_member(user, project):
            return None
        return _own_lease(user, project, kind) or _lease_new(user, project, kind, rng)


def release_expired(project: Project) -> int:
    """Give back the places of leases that ran out. Return how many there were."""
    expired = Assignment.objects.filter(
        item__project=project, state=Assignment.State.LEASED, lease_until__lt=Now()
    )
    released = 0
    for assignment_id, item_id in expired.order_by("id").values_list("id", "item_id"):
        released += _release(assignment_id, item_id)
    return released


@transaction.atomic
def release_leases_of(user: User, project: Project) -> int:
    """Give back every place that a person holds in a project. Return how many there were."""
    held = Assignment.objects.filter(
        item__project=project, annotator=user, state=Assignment.State.LEASED
    )
    return sum(
        _give_back(assignment_id, item_id)
        for assignment_id, item_id in held.order_by("id").values_list("id", "item_id")
    )


def take_place(item_id: int) -> bool:
    """Take one open place of an item. Return False if there was none left."""
    free = Item.objects.filter(id=item_id, open_slots__gt=0)
    return free.update(open_slots=F("open_slots") - 1) == 1


def return_place(item_id: int) -> None:
    """Open one place of an item again."""
    Item.objects.filter(id=item_id).update(open_slots=F("open_slots") + 1)


@transaction.atomic
def _release(assignment_id: int, item_id: int) -> bool:
    """Expire one lease if it still is over; its holder may have answered or renewed it since."""
    return _give_back(assignment_id, item_id, lease_until__lt=Now())


def _give_back(assignment_id: int, item_id: int, **condition: object) -> bool:
    leased = Assignment.objects.filter(id=assignment_id, state=Assignment.State.LEASED, **condition)
    if leased.update(state=Assignment.State.EXPIRED) != 1:
        return False
    return_place(item_id)
    return True


def _lock_active_member(user: User, project: Project) -> bool:
    """Make the requests of one person wait for each other: two tabs then get the same item."""
    membership = Membership.objects.filter(
        user=user, project=project, state=Membership.State.ACTIVE
    )
    return membership.select_for_update().first() is not None


def _own_lease(user: User, project: Project, kind: str | None) -> Assignment | None:
    leased = _assignments().filter(
        annotator=user, item__project=project, state=Assignment.State.LEASED
    )
    if kind is not None:
        leased = leased.filter(item__kind=kind)
    return leased.order_by("id").first()


def _lease_new(
    user: User, project: Project, kind: str | None, rng: random.Random
) -> Assignment | None:
    kinds = Kind.values if kind is None else [kind]
    # Items that others are just taking are passed over at first, and waited for at last.
    passes = [True, *[False] * ATTEMPTS]
    for skip_locked in passes:
        candidates = _candidates(user, project, kinds, skip_locked)
        for item in candidates:
            if assignment := _try_lease(user, project, item, rng):
                return assignment
        if not candidates and not skip_locked:
            return None
    return None


def _candidates(user: User, project: Project, kinds: list[str], skip_locked: bool) -> list[Item]:
    # One query a kind, because the index of the queue begins with it.
    found: list[Item] = []
    for kind in kinds:
        items = items_open_to(user, project, kind)
        if skip_locked and connection.features.has_select_for_update_skip_locked:
            items = items.select_for_update(skip_locked=True, of=("self",), no_key=True)
            found += items[:1]
        else:
            found += items[:CANDIDATES]
    return sorted(found, key=lambda item: (-item.priority, item.pk))


def _try_lease(user: User, project: Project, item: Item, rng: random.Random) -> Assignment | None:
    try:
        with transaction.atomic():
            assignment_id = _renew(user, project, item) or _create(user, project, item, rng)
            if not take_place(item.pk):
                raise _PlaceTaken
    except (IntegrityError, _PlaceTaken):
        return None
    return _assignments().get(id=assignment_id)


class _PlaceTaken(Exception):
    """Others were faster: the assignment is rolled back."""


def _renew(user: User, project: Project, item: Item) -> int | None:
    """Lease a person's own run-out assignment again, in the order that they saw before."""
    own = Assignment.objects.filter(item=item, annotator=user)
    renewed = own.filter(state=Assignment.State.EXPIRED).update(
        state=Assignment.State.LEASED,
        guideline_version=guideline_in_force(project, item.kind),
        leased_at=Now(),
        lease_until=_lease_end(project),
    )
    return own.values_list("id", flat=True).get() if renewed else None


def _create(user: User, project: Project, item: Item, rng: random.Random) -> int:
    order = sorted(item.completions.values_list("id", flat=True))
    rng.shuffle(order)
    return Assignment.objects.create(
        item=item,
        annotator=user,
        shown_order=order,
        guideline_version=guideline_in_force(project, item.kind),
        leased_at=Now(),
        lease_until=_lease_end(project),
    ).pk


def _lease_end(project: Project) -> Combinable:
    return Now() + timedelta(minutes=project.lease_minutes)


def _assignments() -> QuerySet[Assignment]:
    return Assignment.objects.select_related(
        "annotator", "item__project", "item__prompt", "guideline_version"
    )
