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
from typing import TYPE_CHECKING, TypedDict

from django.db.models import Exists, OuterRef, Q, QuerySet, Value
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

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

Marks = Mapping[str, int]
"""By priority, the id of the last item that was passed."""

UNANSWERED = (Assignment.State.LEASED, Assignment.State.EXPIRED)


class Asked(TypedDict):
    """The clock of the database at the moment that a row was read."""

    asked_at: datetime


class Literal(Value):
    """A constant written into the statement: SQLite sees only then that a partial index fits."""

    def as_sql(self, compiler: SQLCompiler, connection: object) -> tuple[str, tuple[()]]:
        if isinstance(self.value, int):
            return str(self.value), ()
        assert self.value.isidentifier()
        return f"'{self.value}'", ()


OPEN = Q(open_slots__gt=Literal(0))
LEASED = Q(state=Literal(Assignment.State.LEASED.value))
WAITING = Q(state=Literal(Turn.State.WAITING.value))


def shown_completions(assignment: Assignment) -> list[Completion]:
    """Return the completions of an assignment in the order that its annotator sees."""
    by_id = Completion.objects.in_bulk(assignment.shown_order)
    return [by_id[completion_id] for completion_id in assignment.shown_order]


def items_open_to(user: User, project: Project, kind: str) -> QuerySet[Item]:
    """Return the items of a kind that a person may be handed next, in the order of the queue.

    Left out is what they have already had (but for a lease of theirs that ran out), the same
    question in another item, what they have annotated, what shows or reviews a text of their own,
    what too many have skipped, and what is no part of the work: gold items, battles.
    """
    return _open_to(user, project, kind).exclude(purpose__in=Item.ASIDE).order_by("-priority", "id")


def drawn_items(user: User, project: Project, kind: str, *, at_random: bool) -> QuerySet[Item]:
    """Return what a person may be handed of the weighed items: by lot, or by worth.

    Both orders are those of an index, and at most so many items as a weighing takes in are there.
    """
    items = _open_to(user, project, kind).exclude(purpose__in=Item.ASIDE)
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
        .exclude(purpose__in=Item.ASIDE)
        .order_by("assignments__closed_at", "id")
    )


def gold_items_open_to(user: User, project: Project, kind: str) -> QuerySet[Item]:
    """Return the gold items of a kind that are new to a person, and that nobody practises with."""
    gold = Q(purpose=Literal(Item.Purpose.GOLD.value), practice__isnull=True)
    screened = ScreeningAnswer.objects.filter(person=user, item=OuterRef("pk"))
    return _open_to(user, project, kind).filter(gold, ~Exists(screened)).order_by("id")


def stages(user: User, project: Project, kind: str, marks: Marks) -> Iterator[QuerySet[Item]]:
    """Yield the items of a kind ahead of a person's marks, in parts that the index answers.

    First what came in above the lowest mark, then what follows that mark, then what lies below.
    """
    items = items_open_to(user, project, kind)
    if not marks:
        yield items
        return
    lowest = min(int(priority) for priority in marks)
    passed = Q()
    for priority, item_id in marks.items():
        passed |= Q(priority=int(priority), id__lte=item_id)
    # Most often nothing is more urgent, and seeing that costs a fraction of looking for whom.
    if Item.objects.filter(OPEN, project=project, kind=kind, priority__gt=lowest).exists():
        yield items.filter(~passed, priority__gt=lowest)
    yield items.filter(priority=lowest, id__gt=marks[str(lowest)])
    yield items.filter(priority__lt=lowest)


def kinds_with_open_items(project: Project) -> list[str]:
    """Return the kinds of which a project has any open item, whoever may have it."""
    open_items = {
        f"has_{kind}": Exists(
            Item.objects.filter(OPEN, project=project, kind=kind).order_by("-priority", "id")
        )
        for kind in Kind.values
    }
    found = dict(Project.objects.filter(id=project.pk).values(**open_items).get())
    return [kind for kind in Kind.values if found[f"has_{kind}"]]


def leases_of(user: User, project: Project) -> QuerySet[Assignment]:
    """Return what a person holds, what they were handed first at the front; battles apart."""
    held = Assignment.objects.filter(LEASED, annotator=user, item__project=project)
    return held.exclude(item__purpose=Item.Purpose.ARENA).order_by("id")


def submitted_since_midnight(user: User, project: Project) -> QuerySet[Assignment]:
    """Return what a person has handed in today; votes of the arena are no work."""
    return Assignment.objects.filter(
        annotator=user,
        closed_at__gte=midnight(),
        state=Assignment.State.SUBMITTED,
        item__project=project,
    ).exclude(item__purpose=Item.Purpose.ARENA)


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
        submitted = Assignment.objects.filter(
            annotator=user, item__project=project, state=Assignment.State.SUBMITTED
        ).exclude(item__purpose=Item.Purpose.ARENA)
        if submitted[: project.total_limit].count() + held >= project.total_limit:
            return "total"
    return ""


def recently_closed(user: User, project: Project) -> WithAnnotations[Assignment, Asked] | None:
    """Return what a person closed last, if there is still time to undo it."""
    if not project.grace_seconds:
        return None
    return (
        Assignment.objects.filter(
            annotator=user,
            item__project=project,
            closed_at__gt=Now() - timedelta(seconds=project.grace_seconds),
        )
        .exclude(item__purpose=Item.Purpose.ARENA)
        .select_related("item")
        .annotate(asked_at=Now())
        .order_by("-closed_at")
        .first()
    )


def _open_to(
    user: User,
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
    elsewhere = Annotation.objects.filter(
        item=OuterRef("pk"), annotator=user, assignment__isnull=True
    )
    own_text = Item.completions.through.objects.filter(item=OuterRef("pk"), completion__author=user)
    items = Item.objects.filter(
        OPEN,
        ~Exists(had.exclude(state__in=again)),
        ~Exists(same_question),
        ~Exists(elsewhere),
        ~Exists(own_text),
        project=project,
        kind=kind,
    )
    if project.max_skips:
        items = items.filter(skips__lt=project.max_skips)
    if kind == Kind.REVIEW:
        return _reviewable(items, user, project)
    if kind in WRITTEN_KINDS and project.review_percent:
        return items.exclude(Exists(_reviews_of(OuterRef("pk"), user)))
    return items


def _reviewable(items: QuerySet[Item], user: User, project: Project) -> QuerySet[Item]:
    """Return the reviews of what counts and is not one's own, nor an answer one still owes."""
    owed = Assignment.objects.filter(
        item=OuterRef("subject__item"), annotator=user, state__in=UNANSWERED
    )
    about = items.filter(~Exists(owed), counted("subject__", project.pk))
    return about.exclude(subject__annotator=user)


def _reviews_of(item: OuterRef, user: User) -> QuerySet[Assignment]:
    return Assignment.objects.filter(annotator=user, item__subject__item=item)
