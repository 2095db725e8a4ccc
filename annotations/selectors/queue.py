"""What a person may be handed.

The work of a kind lies in the order of an index: by priority, then by age. Everyone has marks in
it, one for each priority, of how far they have gone. What lies ahead of the marks is looked at
first, so that nobody's next item is searched for among the thousands they have had. What is
behind them and open (given back by others, or skipped to come back later) is looked at when
nothing is left ahead; the marks then go back to there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, TypedDict

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Now
from django.db.models.sql.compiler import SQLCompiler
from django.utils import timezone

from annotations.models import (
    WRITTEN_KINDS,
    Annotation,
    Arm,
    Assignment,
    Completion,
    Item,
    Kind,
    Project,
    ScreeningAnswer,
    Turn,
    User,
    counted,
)
from annotations.prepared import Prepared, Slot

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

Marks = Mapping[str, int]
"""By priority, the id of the last item that was passed."""

CANDIDATES = 10
"""How many items are tried at a time, should others take them first."""

WORK_LIMIT = 100
"""How far a page of work counts what waits."""

MOST_HELD = 2
"""Who holds so many leases is handed one of them, whatever kind was asked for."""


class Asked(TypedDict):
    """The clock of the database at the moment that a row was read."""

    asked_at: datetime


class Turned(Asked):
    """What else is asked when a person's turn comes; as it was when they began to wait for it."""

    is_anything_over: bool
    """Some lease of anyone's ran out."""
    has_rules: bool
    """The project hands some kinds of work not to everyone."""


class Literal(Value):
    """A constant written into the statement: SQLite sees only then that a partial index fits."""

    def as_sql(self, compiler: SQLCompiler, connection: object) -> tuple[str, tuple[()]]:
        if isinstance(self.value, int):
            return str(self.value), ()
        assert self.value.isidentifier()
        return f"'{self.value}'", ()


class LookedUp(Exists):
    """`EXISTS`, looked up for each row, as few are looked at.

    Without `OFFSET` PostgreSQL may make a join of it, and read everything that a person ever had to
    hand them one item.
    """

    template = "EXISTS(%(subquery)s OFFSET 0)"


OPEN = Q(open_slots__gt=Literal(0))
LEASED = Q(state=Literal(Assignment.State.LEASED.value))
WAITING = Q(state=Literal(Turn.State.WAITING.value))
ASIDE = Q(purpose__in=[Literal(purpose.value) for purpose in Item.ASIDE])


def shown_completions(assignment: Assignment) -> list[Completion]:
    """Return the completions of an assignment in the order that its annotator sees."""
    order = assignment.shown_order
    if known := vars(assignment.item).get("known_completions"):
        return [known[completion_id] for completion_id in order]
    names = {f"c{position}": completion_id for position, completion_id in enumerate(order)}
    by_id = {one.pk: one for one in _completions(len(names))(**names)}
    return [by_id[completion_id] for completion_id in order]


def remember_completions(item: Item, completions: list[Completion]) -> None:
    """Let an item that was just read know its completions, for the page that it is handed to."""
    vars(item)["known_completions"] = {one.pk: one for one in completions}


@lru_cache(maxsize=100)
def _completions(number: int) -> Prepared[Completion]:
    names = [f"c{position}" for position in range(number)]
    return Prepared(lambda **ids: Completion.objects.filter(id__in=list(ids.values())), *names)


def items_open_to(user: User | Slot, project: Project, kind: str) -> QuerySet[Item]:
    """Return the items of a kind that a person may be handed next, in the order of the queue.

    Left out is what they have already had (but for a lease of theirs that ran out), the same
    question in another item, what they have annotated, what shows or reviews a text of their own,
    what too many have skipped, and what is no part of the work: gold items, battles.
    """
    return _open_to(user, project, kind).exclude(ASIDE).order_by("-priority", "id")


def drawn_items(user: User, project: Project, kind: str, *, at_random: bool) -> QuerySet[Item]:
    """Return what a person may be handed of the weighed items: by lot, or by worth.

    Both orders are those of an index, and at most so many items as a weighing takes in are there.
    """
    items = _open_to(user, project, kind).exclude(ASIDE)
    if at_random:
        return items.filter(arm=Literal(Arm.RANDOM.value)).order_by("lot")
    return items.filter(worth__isnull=False).order_by("-worth", "id")


def items_skipped_by(user: User, project: Project, kind: str) -> QuerySet[Item]:
    """Return the open items that come back to the one who skipped them, those of old first."""
    if project.skip_policy != Project.SkipPolicy.LATER:
        return Item.objects.none()
    return (
        _open_to(user, project, kind, again=(Assignment.State.SKIPPED,))
        .filter(assignments__annotator=user, assignments__state=Assignment.State.SKIPPED)
        .exclude(ASIDE)
        .order_by("assignments__closed_at", "id")
    )


def gold_items_open_to(user: User, project: Project, kind: str) -> QuerySet[Item]:
    """Return the gold items of a kind that are new to a person, and that nobody practises with.

    Those of evaluations only while evaluations wait, or their guidelines would give them away.
    """
    gold = Q(purpose=Literal(Item.Purpose.GOLD.value), practice__isnull=True)
    screened = ScreeningAnswer.objects.filter(person=user, item=OuterRef("pk"))
    evaluations = project.items.filter(purpose=Item.Purpose.EVALUATION, open_slots__gt=0)
    fits = Q(gold__guidelines__isnull=True) | Exists(evaluations)
    return _open_to(user, project, kind).filter(gold, fits, ~Exists(screened)).order_by("id")


class Wanted(Enum):
    """How many of the items that one looks at are read, and what for."""

    SOME = CANDIDATES
    """To be tried one after the other."""
    UNTOUCHED = 1
    """The first that nobody else is just taking, where the database can tell."""
    TO_COUNT = WORK_LIMIT


def stages(
    user: User, project: Project, kind: str, marks: Marks, wanted: Wanted
) -> Iterator[list[Item]]:
    """Yield the items of a kind ahead of a person's marks, in parts that the index answers.

    First what came in above the lowest mark, then what follows that mark, then what lies below.
    """
    form = (project.pk, project.max_skips, project.review_percent, kind, wanted)
    if not marks:
        yield _IN_LINE("all", *form, person=user.pk)
        return
    lowest = min(int(priority) for priority in marks)
    follows = {"person": user.pk, "priority": lowest, "mark": marks[str(lowest)]}
    # Most often nothing is more urgent, which costs a fraction of looking for whom.
    if behind := _IN_LINE("behind, if calm", *form, **follows):
        yield behind
    else:
        if _MORE_URGENT(project=project.pk, kind=str(kind), priority=lowest):
            passed = Q()
            for priority, item_id in marks.items():
                passed |= Q(priority=int(priority), id__lte=item_id)
            urgent = items_open_to(user, project, kind).filter(~passed, priority__gt=lowest)
            yield list(read(urgent, wanted))
        yield _IN_LINE("behind", *form, **follows)
    yield _IN_LINE("below", *form, person=user.pk, priority=lowest)


def read(items: QuerySet[Item], wanted: Wanted) -> QuerySet[Item]:
    """Return as many items as are wanted, those to be handed out with their prompts."""
    if wanted == Wanted.TO_COUNT:
        return items.only("id")[: wanted.value]
    items = items.select_related("prompt")
    if wanted == Wanted.UNTOUCHED and connection.features.has_select_for_update_skip_locked:
        return items.select_for_update(skip_locked=True, of=("self",), no_key=True)[:1]
    return items[: Wanted.SOME.value]


def _in_line(
    part: str,
    project_id: int,
    max_skips: int,
    review_percent: int,
    kind: str,
    wanted: Wanted,
    *,
    person: Slot,
    priority: Slot,
    mark: Slot,
) -> QuerySet[Item]:
    project = Project(id=project_id, max_skips=max_skips, review_percent=review_percent)
    items = items_open_to(person, project, kind)
    if part == "behind, if calm":
        open_ones = Item.objects.filter(OPEN, project=project_id, kind=kind)
        most_urgent = open_ones.order_by("-priority", "id").values("priority")[:1]
        items = items.alias(most=Subquery(most_urgent)).filter(most=priority)
    if part.startswith("behind"):
        items = items.filter(priority=priority, id__gt=mark)
    elif part == "below":
        items = items.filter(priority__lt=priority)
    if wanted != Wanted.TO_COUNT:
        had = Assignment.objects.filter(item=OuterRef("pk"), annotator=person)
        items = items.annotate(was_had=LookedUp(had))
    return read(items, wanted)


def _more_urgent(project: int | Slot, kind: str | Slot, priority: Slot) -> QuerySet[Item]:
    return Item.objects.filter(OPEN, project=project, kind=kind, priority__gt=priority)


_IN_LINE = Prepared(_in_line, "person", "priority", "mark")
_MORE_URGENT = Prepared(
    lambda **slots: _more_urgent(**slots).values_list("id")[:1], "project", "kind", "priority"
)


def kinds_with_open_items(project: Project) -> list[str]:
    """Return the kinds of which a project has any open item, whoever may have it."""
    (found,) = _HAS_OPEN(project=project.pk)
    return [kind for kind, has_any in zip(Kind.values, found, strict=True) if has_any]


def _has_open(*, project: Slot) -> QuerySet[Project, tuple[bool, ...]]:
    open_items = {
        f"has_{kind}": Exists(
            Item.objects.filter(OPEN, project=project, kind=kind).order_by("-priority", "id")
        )
        for kind in Kind.values
    }
    return Project.objects.filter(id=project).annotate(**open_items).values_list(*open_items)


_HAS_OPEN = Prepared(_has_open, "project")


def leases_of(user: User | Slot, project: Project | Slot) -> QuerySet[Assignment]:
    """Return what a person holds, what they were handed first at the front; battles apart."""
    held = Assignment.objects.filter(LEASED, annotator=user, item__project=project)
    return held.exclude(item__purpose=Item.Purpose.ARENA).order_by("id")


def first_leases_of(user: User, project: Project) -> list[Assignment]:
    """Return the first two leases that a person holds, each with what its page shows."""
    return _FIRST_LEASES(person=user.pk, project=project.pk)


def expired_leases() -> list[tuple[int, int]]:
    """Return the ids of the leases that ran out, each with that of its item, the oldest first."""
    # Sorted here: asked to do it, a database may read all assignments, instead of the few.
    return sorted(_EXPIRED())


def leases_over() -> QuerySet[Assignment]:
    """Return the leases that ran out, in any project, but for those that wait for replies."""
    waiting = Turn.objects.filter(WAITING, assignment=OuterRef("pk"))
    return Assignment.objects.filter(LEASED, ~Exists(waiting), lease_until__lt=Now())


_EXPIRED = Prepared(lambda: leases_over().values_list("id", "item_id"))


def whole(assignments: QuerySet[Assignment]) -> QuerySet[Assignment]:
    """Return assignments with all that their pages show."""
    return assignments.select_related(
        "annotator", "item__project", "item__prompt", "guideline_version"
    )


_FIRST_LEASES = Prepared(
    lambda *, person, project: whole(leases_of(person, project))[:MOST_HELD], "person", "project"
)


def submitted_by(person: User | Slot, project: Project | Slot) -> QuerySet[Assignment]:
    """Return what a person has handed in; votes of the arena are no work."""
    return Assignment.objects.filter(
        annotator=person, state=Assignment.State.SUBMITTED, item__project=project
    ).exclude(item__purpose=Item.Purpose.ARENA)


def submitted_since_midnight(user: User, project: Project) -> QuerySet[Assignment]:
    """Return what a person has handed in today."""
    return _submitted_since(user, project, midnight())


def number_submitted_today(user: User, project: Project) -> int:
    """Return how much a person has handed in today."""
    found = _SUBMITTED_SINCE.first(person=user.pk, project=project.pk, since=midnight())
    return found[0] if found else 0


def _submitted_since(
    person: User | Slot, project: Project | Slot, since: datetime | Slot
) -> QuerySet[Assignment]:
    return submitted_by(person, project).filter(closed_at__gte=since)


def _count_submitted(
    *, person: Slot, project: Slot, since: Slot
) -> QuerySet[Assignment, tuple[int]]:
    # Grouped by a constant, which is not at all.
    together = _submitted_since(person, project, since).annotate(one=Value(1)).values("one")
    return together.annotate(number=Count("id")).values_list("number")


_SUBMITTED_SINCE = Prepared(_count_submitted, "person", "project", "since")


def midnight() -> datetime:
    """Return when today began."""
    return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)


def limit_reached(user: User, project: Project) -> str:
    """Say which of the project's limits a person has reached with what they hold, or nothing."""
    if project.daily_limit is None and project.total_limit is None:
        return ""
    held = leases_of(user, project).count()
    if project.daily_limit is not None:
        today = submitted_since_midnight(user, project)[: project.daily_limit].count()
        if today + held >= project.daily_limit:
            return "daily"
    if project.total_limit is not None:
        submitted = submitted_by(user, project)[: project.total_limit].count()
        if submitted + held >= project.total_limit:
            return "total"
    return ""


def recently_closed(user: User, project: Project) -> WithAnnotations[Assignment, Asked] | None:
    """Return what a person closed last, if there is still time to undo it."""
    if not project.grace_seconds:
        return None
    return _CLOSED_LAST.first(project.grace_seconds, person=user.pk, project=project.pk)


def _closed_last(
    grace_seconds: int, *, person: Slot, project: Slot
) -> QuerySet[WithAnnotations[Assignment, Asked]]:
    closed = Assignment.objects.filter(
        annotator=person,
        item__project=project,
        closed_at__gt=Now() - timedelta(seconds=grace_seconds),
    ).exclude(item__purpose=Item.Purpose.ARENA)
    return closed.select_related("item").annotate(asked_at=Now()).order_by("-closed_at", "-id")[:1]


_CLOSED_LAST = Prepared(_closed_last, "person", "project")


def _open_to(
    user: User | Slot,
    project: Project,
    kind: str,
    *,
    again: tuple[str, ...] = (Assignment.State.EXPIRED,),
) -> QuerySet[Item]:
    """Return the open items that a person may be handed: new ones, and theirs in these states."""
    had = Assignment.objects.filter(item=OuterRef("pk"), annotator=user)
    # In any project: a join to know which would be planned badly on tables not analysed yet.
    same_question = Assignment.objects.filter(
        annotator=user, fingerprint=OuterRef("fingerprint")
    ).exclude(Q(item=OuterRef("pk")) | Q(fingerprint=""))
    # The first of a chain of corrections says it, too, and of those an index knows item and person
    # together. Without that SQLite reads, for each item, everything that the person ever said.
    elsewhere = Annotation.objects.filter(
        item=OuterRef("pk"), annotator=user, assignment__isnull=True, supersedes__isnull=True
    )
    own_text = Item.completions.through.objects.filter(item=OuterRef("pk"), completion__author=user)
    items = Item.objects.filter(
        OPEN,
        ~LookedUp(had.exclude(state__in=[Literal(str(state)) for state in again])),
        ~LookedUp(same_question),
        ~LookedUp(elsewhere),
        ~LookedUp(own_text),
        project=project,
        kind=kind,
    )
    if project.max_skips:
        items = items.filter(skips__lt=project.max_skips)
    if kind == Kind.REVIEW:
        return _reviewable(items, user, project)
    if kind in WRITTEN_KINDS and project.review_percent:
        return items.filter(~LookedUp(_reviews_of(OuterRef("pk"), user)))
    return items


def _reviewable(items: QuerySet[Item], user: User | Slot, project: Project) -> QuerySet[Item]:
    """Return the reviews of what counts and is not one's own, nor an answer one still owes."""
    owed = Assignment.objects.filter(
        item=OuterRef("subject__item"), annotator=user, state__in=Assignment.UNANSWERED
    )
    about = items.filter(~LookedUp(owed), counted("subject__", project.pk))
    return about.exclude(subject__annotator=user)


def _reviews_of(item: OuterRef, user: User | Slot) -> QuerySet[Assignment]:
    return Assignment.objects.filter(annotator=user, item__subject__item=item)
