"""Leases: who is handed which item next. Apart from the services, the only writer.

What holds however many people ask at once: a place of an item is taken by one conditional UPDATE,
a person has one assignment of an item at most (a constraint), and leases run out by the clock of
the database. Row locks, where the database has them, only keep people from waiting on each other.

A lease does not run out while its holder waits for replies: it begins anew when they come.

Of the kinds whose answers have a known worth, the project's share is drawn at random and the rest
is chosen by worth. What is urgent goes before both, and what is not weighed yet comes after.

Of every item, at every moment: open places + leases held + answers within the overlap = overlap.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from annotations.models import (
    Arm,
    Assignment,
    AssignmentEvent,
    Completion,
    Draw,
    Item,
    Kind,
    KindDecision,
    KindRule,
    Membership,
    Project,
    Turn,
    User,
)
from annotations.prepared import Prepared, PreparedUpdate, Slot, insert
from annotations.selectors.guidelines import guideline_for
from annotations.selectors.qualification import closed_kinds
from annotations.selectors.queue import (
    MOST_HELD,
    Marks,
    Wanted,
    drawn_items,
    expired_leases,
    first_leases_of,
    gold_items_open_to,
    items_open_to,
    items_skipped_by,
    kinds_with_open_items,
    leases_of,
    leases_over,
    limit_reached,
    read,
    remember_completions,
    stages,
    whole,
)
from annotations.signals import replies_wanted

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    from annotations.selectors.queue import Turned

    Member = WithAnnotations[Membership, Turned]

GOLD_CANDIDATES = 50
"""Among how many gold items one is drawn."""

ATTEMPTS = 20
"""How often candidates are looked up again when others took every one of them."""

Event = AssignmentEvent.Name
State = Assignment.State

_SYSTEM_RANDOM = random.SystemRandom()


def lease_next(
    user: User,
    project: Project,
    kind: str | None = None,
    *,
    rng: random.Random = _SYSTEM_RANDOM,
) -> Assignment | None:
    """Hand a person their next item, or the one that they already hold.

    Return None where nothing waits for them, where they are not an active member, and where the
    project is paused or they have reached its limits.
    """
    with transaction.atomic():
        membership = _lock_active_member(user, project)
        if membership is None:
            return None
        if not membership.is_anything_over:
            return _lease_to(membership, kind, rng)
    # Without a lock of one's own: the leases are those of others.
    release_expired()
    with transaction.atomic():
        membership = _lock_active_member(user, project)
        return None if membership is None else _lease_to(membership, kind, rng)


def _lease_to(membership: Member, kind: str | None, rng: random.Random) -> Assignment | None:
    user, project = membership.user, membership.project
    # Not in the statement that locked: one that waits for its row sees all others as they were.
    held = first_leases_of(user, project)
    wanted = [one for one in held if kind in (None, one.item.kind)]
    if wanted:
        return wanted[0]
    if len(held) == MOST_HELD:
        return held[0]
    if project.is_paused or limit_reached(user, project):
        return None
    return _lease_new(membership, kind, rng)


@transaction.atomic
def lease_item(user: User, item: Item, *, rng: random.Random = _SYSTEM_RANDOM) -> Assignment | None:
    """Hand a person a certain item. Return None if it has no place for them."""
    membership = _lock_active_member(user, item.project)
    return None if membership is None else _try_lease(membership, item, rng)


def release_expired() -> int:
    """Give back the places of leases that ran out. Return how many there were."""
    return sum(_release(assignment_id, item_id) for assignment_id, item_id in expired_leases())


@transaction.atomic
def release_leases_of(user: User, project: Project) -> int:
    """Give back every place that a person holds in a project. Return how many there were."""
    held = leases_of(user, project).values_list("id", "item_id")
    return sum(_give_back(assignment_id, item_id) for assignment_id, item_id in held)


def take_place(item_id: int, *, spend_worth: bool = False) -> bool:
    """Take one open place of an item. Return False if there was none left.

    Whose worth is spent is chosen again only once it is weighed again.
    """
    return len(_TAKE_PLACE(spend_worth, item=item_id)) == 1


def _take_place(spend_worth: bool, *, item: Slot) -> tuple[QuerySet[Item], dict[str, Any]]:
    changes: dict[str, Any] = {"open_slots": F("open_slots") - 1}
    if spend_worth:
        changes["worth"] = None
    return Item.objects.filter(id=item, open_slots__gt=0), changes


_TAKE_PLACE = PreparedUpdate(_take_place, "item")


def return_place(item_id: int, **changes: object) -> None:
    """Open one place of an item again, and change the item."""
    Item.objects.filter(id=item_id).update(open_slots=F("open_slots") + 1, **changes)


def count_skip(item_id: int, change: int, *, places: int = 0) -> None:
    """Count one more or one less who skipped an item, and open the place that this gave back."""
    Item.objects.filter(id=item_id).update(
        skips=F("skips") + change, open_slots=F("open_slots") + places
    )


def record(assignment_id: int, name: str) -> None:
    """Write down what happened to an assignment."""
    insert(AssignmentEvent(assignment_id=assignment_id, name=name))


def ask_for_replies(assignment_id: int, number: int, prompt_id: int) -> Turn:
    """Let a new turn of a conversation wait for its replies."""
    turn = Turn.objects.create(
        assignment_id=assignment_id, number=number, prompt_id=prompt_id, asked_at=Now()
    )
    _hint()
    return turn


def ask_again(turns: QuerySet[Turn]) -> bool:
    """Let turns that got no replies wait again. Return False if there were none."""
    again = turns.filter(state__in=[Turn.State.FAILED, Turn.State.DROPPED])
    asked = again.update(
        state=Turn.State.WAITING, asked_at=Now(), claimed_at=None, progress=0, error=""
    )
    if asked:
        _hint()
    return asked > 0


def drop_waiting(assignment_id: int) -> None:
    """Want no replies any more: the conversation was ended or passed on."""
    waiting = Turn.objects.filter(assignment_id=assignment_id, state=Turn.State.WAITING)
    waiting.update(state=Turn.State.DROPPED)


def ask_for_dropped(assignment_id: int) -> None:
    """Want the replies after all that nobody waited for any more."""
    ask_again(Turn.objects.filter(assignment_id=assignment_id, state=Turn.State.DROPPED))


def _hint() -> None:
    # Robust: what was asked is stored, whatever becomes of the hint.
    transaction.on_commit(_send_hint, robust=True)


def _send_hint() -> None:
    replies_wanted.send(sender=Turn)


def hold(current: Assignment) -> None:
    """Keep the lease of a locked assignment alive; take one that ran out again if it has a place.

    A lease that is over stays over where it has none: its holder is told so.
    """
    if current.state == State.EXPIRED and take_place(current.item_id):
        current.state = State.LEASED
        record(current.pk, Event.LEASED)
    if current.state == State.LEASED:
        held = Assignment.objects.filter(id=current.pk)
        held.update(state=State.LEASED, lease_until=lease_end(current.item.project))


def lease_end(project: Project) -> Combinable:
    """Return when a lease ends that begins now, by the clock of the database."""
    return Now() + timedelta(minutes=project.lease_minutes)


@transaction.atomic
def _release(assignment_id: int, item_id: int) -> bool:
    """Expire one lease if it still is over; its holder may have answered or renewed it since.

    One that somebody is at is left to them: whoever releases may hold others of the same items.
    """
    if connection.features.has_select_for_update_skip_locked:
        untouched = Assignment.objects.select_for_update(skip_locked=True, no_key=True)
        if not untouched.filter(id=assignment_id, state=State.LEASED).values("id"):
            return False
    return _give_back(assignment_id, item_id, lease_until__lt=Now())


def _give_back(assignment_id: int, item_id: int, **condition: object) -> bool:
    leased = Assignment.objects.filter(id=assignment_id, state=State.LEASED, **condition)
    if leased.update(state=State.EXPIRED) != 1:
        return False
    return_place(item_id)
    record(assignment_id, Event.EXPIRED)
    return True


def _lock_active_member(user: User, project: Project) -> Member | None:
    """Make the requests of one person wait for each other: two tabs then get the same item."""
    return _ACTIVE_MEMBER.first(person=user.pk, project=project.pk)


def _active_member(*, person: Slot, project: Slot) -> QuerySet[Member]:
    members = Membership.objects.filter(
        user=person, project=project, state=Membership.State.ACTIVE
    ).select_related("project", "user")
    rules = KindRule.objects.filter(project=OuterRef("project"))
    by_hand = KindDecision.objects.filter(
        project=OuterRef("project"), person=OuterRef("user"), ended_at=None
    )
    return members.select_for_update(of=("self",)).annotate(
        asked_at=Now(),
        is_anything_over=Exists(leases_over()),
        has_rules=Exists(rules) | Exists(by_hand),
    )


_ACTIVE_MEMBER = Prepared(_active_member, "person", "project")


def _lease_new(membership: Member, kind: str | None, rng: random.Random) -> Assignment | None:
    kinds = kinds_with_open_items(membership.project) if kind is None else [kind]
    if membership.has_rules:
        closed = {one.kind for one in closed_kinds(membership.user, membership.project)}
        kinds = [kind for kind in kinds if kind not in closed]
    if membership.project.gold_percent and rng.random() * 100 < membership.project.gold_percent:
        gold = _gold_candidates(membership, kinds)
        rng.shuffle(gold)
        if assignment := _lease_first(membership, gold, rng):
            return assignment
    # Items that others are just taking are passed over at first, and waited for at last.
    for skip_locked in [True, *[False] * ATTEMPTS]:
        candidates = _candidates(membership, kinds, skip_locked)
        for arm, drawn in _draws(membership, candidates, skip_locked, rng):
            if assignment := _lease_first(membership, drawn, rng, arm):
                return assignment
        if assignment := _lease_first(membership, candidates, rng):
            return assignment
        if not candidates and not skip_locked:
            return None
    return None


def _lease_first(
    membership: Member, candidates: list[Item], rng: random.Random, arm: str = ""
) -> Assignment | None:
    for item in candidates:
        if assignment := _try_lease(membership, item, rng, arm):
            if not arm:
                _pass(membership, item)
            return assignment
    return None


def _draws(
    membership: Member, candidates: list[Item], skip_locked: bool, rng: random.Random
) -> Iterator[tuple[str, list[Item]]]:
    """Yield what the arms have for a person, beside the candidates that are next in order.

    The first of those decides about the kind, so that no kind waits for ever; and where it is
    urgent nothing is drawn. An arm that has nothing for this person leaves it to the other.
    """
    project = membership.project
    first = candidates[0] if candidates else None
    if first is None or first.priority > 0 or first.kind not in project.weighed_kinds:
        return
    if project.random_percent >= 100:
        return
    is_random = rng.random() * 100 < project.random_percent
    for at_random in (is_random, not is_random):
        items = drawn_items(membership.user, project, first.kind, at_random=at_random)
        wanted = Wanted.UNTOUCHED if skip_locked else Wanted.SOME
        yield Arm.RANDOM if at_random else Arm.CHOSEN, list(read(items, wanted))


def _gold_candidates(membership: Member, kinds: list[str]) -> list[Item]:
    return [
        item
        for kind in kinds
        for item in gold_items_open_to(membership.user, membership.project, kind)[:GOLD_CANDIDATES]
    ]


def _candidates(membership: Member, kinds: list[str], skip_locked: bool) -> list[Item]:
    # One kind after the other, because the index of the queue begins with it.
    found = [item for kind in kinds for item in _of_kind(membership, kind, skip_locked)]
    return sorted(found, key=lambda item: (-item.priority, item.pk))


def _of_kind(membership: Member, kind: str, skip_locked: bool) -> list[Item]:
    """Return the first items of a kind for a person: ahead of their marks, or else behind."""
    wanted = Wanted.UNTOUCHED if skip_locked else Wanted.SOME
    return next((found for found in _looks(membership, kind, wanted) if found), [])


def _looks(membership: Member, kind: str, wanted: Wanted) -> Iterator[list[Item]]:
    user, project = membership.user, membership.project
    marks = membership.queue_marks.get(kind, {})
    yield from stages(user, project, kind, marks, wanted)
    if marks:
        yield list(read(items_open_to(user, project, kind), wanted))
    if project.skip_policy == Project.SkipPolicy.LATER:
        yield list(read(items_skipped_by(user, project, kind), wanted))


def _try_lease(
    membership: Member, item: Item, rng: random.Random, arm: str = ""
) -> Assignment | None:
    item.project = membership.project
    # By the clock of the database, which was asked when the person's turn came.
    lease = {
        "guideline_version": guideline_for(membership.project, item),
        "leased_at": membership.asked_at,
        "lease_until": membership.asked_at + timedelta(minutes=membership.project.lease_minutes),
    }
    # Asked again for training once everything was asked; an evaluation is to come to its end.
    spend_worth = arm == Arm.CHOSEN and item.purpose == Item.Purpose.TRAINING
    own = _own(membership, item)
    if own is not None:
        assignment = _lease_again(own, lease, spend_worth=spend_worth)
    else:
        assignment = _lease_anew(membership, item, lease, rng, spend_worth=spend_worth)
    if assignment is None:
        return None
    if arm and own is None:
        Draw.objects.create(
            assignment=assignment,
            project=membership.project,
            arm=item.arm,
            expected=item.expected or {},
        )
    record(assignment.pk, Event.LEASED)
    if item.kind == Kind.CONVERSATION:
        _begin_conversation(assignment)
    return assignment


def _own(membership: Member, item: Item) -> Assignment | None:
    """Return what a person had of an item before; most often its search has ruled that out."""
    if not vars(item).get("was_had", True):
        return None
    return _OWN.first(item=item.pk, person=membership.user.pk)


def _lease_anew(
    membership: Member,
    item: Item,
    lease: dict[str, Any],
    rng: random.Random,
    *,
    spend_worth: bool,
) -> Assignment | None:
    """Write down that a person holds an item, if it has a place."""
    if not take_place(item.pk, spend_worth=spend_worth):
        return None
    shown = sorted(_COMPLETIONS(item=item.pk), key=lambda one: one.pk)
    order = [one.pk for one in shown]
    rng.shuffle(order)
    new = Assignment(
        item=item,
        annotator=membership.user,
        fingerprint=item.fingerprint,
        shown_order=order,
        **lease,
    )
    if not insert(new, unless_there=True):
        return_place(item.pk, **({"worth": item.worth} if spend_worth else {}))
        return None
    remember_completions(item, shown)
    return new


def _lease_again(own: Assignment, lease: dict[str, Any], *, spend_worth: bool) -> Assignment | None:
    """Lease a person's own assignment again, in the order that they saw before, if it has a place.

    One that ran out comes back with its draft; one that they skipped is as if they had not.
    """
    again = Assignment.objects.filter(id=own.pk, state=own.state)
    if own.state not in (State.EXPIRED, State.SKIPPED):
        return None
    try:
        # The assignment before the item, as whoever hands in a lease that is over takes them.
        with transaction.atomic():
            if not again.update(
                state=State.LEASED, skip_reason="", skip_note="", closed_at=None, **lease
            ):
                raise _PlaceTaken
            if own.state == State.SKIPPED:
                count_skip(own.item_id, -1)
            if not take_place(own.item_id, spend_worth=spend_worth):
                raise _PlaceTaken
    except _PlaceTaken:
        return None
    return whole(Assignment.objects.all()).get(id=own.pk)


def _begin_conversation(assignment: Assignment) -> None:
    """Ask for replies to the prompt, or again for those that nobody waited for any more."""
    if not assignment.turns.exists():
        ask_for_replies(assignment.pk, 0, assignment.item.prompt_id)
    ask_for_dropped(assignment.pk)


class _PlaceTaken(Exception):
    """The item has no place for this person any more: what was changed is rolled back."""


def _pass(membership: Member, item: Item) -> None:
    """Move a person's marks to an item: what lies above it was looked at before it was handed out.

    An item behind the marks begins another pass, for which the marks below it are forgotten.
    """
    if item.purpose == Item.Purpose.GOLD:
        return
    marks: Marks = membership.queue_marks.get(item.kind, {})
    mark = marks.get(str(item.priority))
    again = mark is not None and item.pk <= mark
    above = {p: passed for p, passed in marks.items() if int(p) > item.priority or not again}
    marks = above | {str(item.priority): item.pk}
    membership.queue_marks = membership.queue_marks | {item.kind: dict(marks)}
    _MOVE_MARKS(membership=membership.pk, marks=membership.queue_marks)


_MOVE_MARKS = PreparedUpdate(
    lambda *, membership, marks: (
        Membership.objects.filter(id=membership),
        {"queue_marks": marks},
    ),
    "membership",
    "marks",
)


_OWN = Prepared(
    lambda *, item, person: Assignment.objects.filter(item=item, annotator=person)[:1],
    "item",
    "person",
)
_COMPLETIONS = Prepared(lambda *, item: Completion.objects.filter(items=item), "item")
