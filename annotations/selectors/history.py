"""What happened: to one's own work, and to an item."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypedDict

from django.db.models import Count, Exists, OuterRef, Prefetch, Q, QuerySet, Sum
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from annotations.algorithms.text import letter_of
from annotations.models import (
    Annotation,
    Assignment,
    AssignmentEvent,
    Comparison,
    Completion,
    CorrectionDraft,
    Item,
    Kind,
    Project,
    Turn,
    User,
    in_force,
)
from annotations.prepared import Prepared, Slot
from annotations.selectors.answers import correction_of, with_payload, words_of
from annotations.selectors.newest import newest
from annotations.selectors.pay import earned_by
from annotations.selectors.queue import recently_closed, submitted_by, submitted_since_midnight

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

AGREEMENT_LIMIT = 1000
"""How many of one's own comparisons are held against those of others: the newest."""


@dataclass(frozen=True)
class Previous:
    """What a person closed last and may still take back."""

    assignment: Assignment
    seconds_left: int
    note: str

    @property
    def skipped(self) -> bool:
        return self.assignment.state == Assignment.State.SKIPPED


@dataclass(frozen=True)
class Times:
    """How long somebody was at work, as their browser measured it and by the clock."""

    active: timedelta
    wall: timedelta

    @property
    def active_words(self) -> str:
        return time_in_words(self.active)

    @property
    def wall_words(self) -> str:
        return time_in_words(self.wall)


@dataclass(frozen=True)
class KindCount:
    kind: str
    done: int

    @property
    def label(self) -> str:
        return Kind(self.kind).label


@dataclass(frozen=True)
class OwnStatistics:
    """What a person has done in a project, for themselves to see."""

    done_today: int
    done: int
    by_kind: list[KindCount]
    today: Times
    all: Times
    agreed: int
    compared: int
    """Comparisons that others judged too, and how often they said the same."""
    earned: list[str]
    """One amount for each currency that they were paid in."""

    @property
    def agreement_percent(self) -> int | None:
        return round(100 * self.agreed / self.compared) if self.compared else None


class Since(TypedDict):
    """What became of an annotation after it was made."""

    taken_back: bool
    corrected: bool


@dataclass(frozen=True)
class AnnotationRecord:
    """An annotation on the page of what happened: what it says and whether it still holds."""

    annotation: Annotation
    words: list[tuple[str, str]]
    state: str


@dataclass(frozen=True)
class ItemHistory:
    """Who was handed an item and what they said, as far as somebody may see that."""

    assignments: list[Assignment]
    records: list[AnnotationRecord]
    is_hidden: bool
    """Their own answer is still to come, so they see nobody's."""
    is_blind: bool = False
    """They have still to review an answer, so they do not see, either, who was handed the item."""


def previous_of(
    user: User,
    project: Project,
    *,
    besides: Assignment | None = None,
    closed: Assignment | None = None,
) -> Previous | None:
    """Return what a person closed last, while it can be undone.

    It need not be looked for where it is `closed`, handed in by this very request.
    """
    asked_at = vars(closed).get("asked_at") if closed else None
    if asked_at is None or not project.grace_seconds:
        closed = last = recently_closed(user, project)
        asked_at = last.asked_at if last else None
    if closed is None or closed == besides or closed.closed_at is None or asked_at is None:
        return None
    passed = asked_at - closed.closed_at
    seconds = max(1, round(project.grace_seconds - passed.total_seconds()))
    return Previous(closed, seconds, _note(closed))


def _note(closed: Assignment) -> str:
    """Say what became of an answer whose lease had run out."""
    if closed.state != Assignment.State.SUBMITTED or closed.closed_at is None:
        return ""
    if closed.lease_until >= closed.closed_at:
        return ""
    surplus = closed.annotations.order_by("-id").values_list("surplus", flat=True).first()
    if surplus:
        return _("Your time for it had run out and others took its place: it is kept as a surplus.")
    return _("Your time for it had run out, but its place was free: it counts.")


def own_history(user: User, project: Project, kind: str = "") -> QuerySet[Assignment]:
    """Return what a person has handed in or skipped, newest first."""
    closed = Assignment.objects.filter(
        annotator=user, item__project=project, closed_at__isnull=False
    )
    if kind:
        closed = closed.filter(item__kind=kind)
    return closed.select_related("item__prompt", "battle").order_by("-closed_at", "-id")


def open_work(user: User, project: Project) -> QuerySet[Assignment]:
    """Return what a person holds, and what they began in a lease that ran out; newest first."""
    begun = Q(draft__isnull=False) | Exists(
        Turn.objects.filter(assignment=OuterRef("pk"), number=1)
    )
    return (
        Assignment.objects.filter(annotator=user, item__project=project)
        .filter(Q(state=Assignment.State.LEASED) | Q(state=Assignment.State.EXPIRED) & begun)
        .select_related("item__prompt")
        .order_by("-id")
    )


def begun_corrections(user: User, project: Project) -> list[Assignment]:
    """Return what a person has begun to correct and not sent, the newest answers first."""
    if not project.edits_allowed:
        return []
    return [
        draft.annotation.assignment
        for draft in _DRAFTS(person=user.pk, project=project.pk)
        if draft.annotation.assignment and correction_of(draft.annotation).is_begun
    ]


def _drafts(*, person: Slot, project: Slot) -> QuerySet[CorrectionDraft]:
    drafts = CorrectionDraft.objects.filter(
        # Of a process of the version before, which does not fill the column.
        Q(annotator=person) | Q(annotator=None, annotation__annotator=person),
        in_force("annotation__"),
        annotation__item__project=project,
    )
    return drafts.select_related("annotation__assignment__item__prompt").order_by("-pk")


_DRAFTS = Prepared(_drafts, "person", "project")


def own_statistics(user: User, project: Project) -> OwnStatistics:
    """Return what a person has done, how long it took, and what they earned by it."""
    submitted = submitted_by(user, project)
    today = submitted_since_midnight(user, project)
    counts = dict(submitted.values_list("item__kind").annotate(Count("id")))
    total = _times(submitted)
    agreed, compared = _agreement(user, project) if project.shows_agreement else (0, 0)
    return OwnStatistics(
        done_today=today.count(),
        done=sum(counts.values()),
        by_kind=[KindCount(kind, counts[kind]) for kind in Kind.values if kind in counts],
        today=_times(today),
        all=total,
        agreed=agreed,
        compared=compared,
        earned=earned_by(user, project),
    )


def time_in_words(time: timedelta) -> str:
    """Return a time in hours and minutes; below a minute in seconds.

    >>> time_in_words(timedelta(minutes=61)), time_in_words(timedelta(seconds=5))
    ('1 h 1 min', '5 s')
    """
    seconds = int(time.total_seconds())
    if 0 < seconds < 60:
        return f"{seconds} s"
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _times(submitted: QuerySet[Assignment]) -> Times:
    active = submitted.aggregate(ms=Sum("active_ms"))["ms"] or 0
    answers = Annotation.objects.filter(in_force(), assignment__in=submitted)
    wall = answers.aggregate(ms=Sum("wall_ms"))["ms"] or 0
    return Times(timedelta(milliseconds=active), timedelta(milliseconds=wall))


def _agreement(user: User, project: Project) -> tuple[int, int]:
    """Return how often others said the same as a person about the same two completions.

    Not about gold items, as in the report on agreement; nor are decisions anybody's answer.
    """
    comparisons = Comparison.objects.filter(
        in_force("annotation__"),
        annotation__item__project=project,
        annotation__adjudication__isnull=True,
    ).exclude(annotation__item__purpose=Item.Purpose.GOLD)
    own = {
        comparison.annotation.item_id: _better(comparison)
        for comparison in comparisons.filter(annotation__annotator=user)
        .select_related("annotation")
        .order_by("-annotation_id")[:AGREEMENT_LIMIT]
    }
    others = (
        comparisons.filter(annotation__item__in=own.keys())
        .exclude(annotation__annotator=user)
        .select_related("annotation")
    )
    same = [_better(other) == own[other.annotation.item_id] for other in others]
    return sum(same), len(same)


def _better(comparison: Comparison) -> int | str:
    """Return the completion that was found better, or that none was."""
    sides = {"left": comparison.left_id, "right": comparison.right_id}
    return sides.get(comparison.outcome, comparison.outcome)


def records_of(
    annotations: Iterable[WithAnnotations[Annotation, Since]],
) -> list[AnnotationRecord]:
    """Return what annotations say in words, oldest first.

    What A and B were comes before it: everybody saw the completions in an order of their own.
    """
    made = list(annotations)
    texts = Completion.objects.in_bulk({pk for one in made for pk in one.shown_order})
    return [
        AnnotationRecord(one, [*_shown(one, texts), *words_of(one)], _state(one)) for one in made
    ]


def _shown(annotation: Annotation, texts: Mapping[int, Completion]) -> Iterator[tuple[str, str]]:
    for position, completion_id in enumerate(annotation.shown_order, start=1):
        shown = _("Shown as %(letter)s") % {"letter": letter_of(position)}
        yield shown, texts[completion_id].text or _("(empty)")


def _state(annotation: WithAnnotations[Annotation, Since]) -> str:
    if annotation.taken_back:
        return gettext_noop("taken back")
    if annotation.corrected:
        return gettext_noop("corrected since")
    return gettext_noop("in force")


def annotations_of(
    assignment_or_item: Assignment | Item,
) -> QuerySet[WithAnnotations[Annotation, Since]]:
    """Return every annotation ever made, with whether it was taken back or corrected."""
    return _with_state(assignment_or_item.annotations.all())


def _with_state(
    annotations: QuerySet[Annotation],
) -> QuerySet[WithAnnotations[Annotation, Since]]:
    later = Annotation.objects.filter(supersedes=OuterRef("pk"))
    return (
        annotations.select_related("annotator", "guideline_version", "supersedes")
        .annotate(taken_back=Q(retraction__isnull=False), corrected=Exists(later))
        .order_by("id")
    )


def newest_in_force(
    annotations: QuerySet[Annotation],
    number: int,
    *,
    kind: str = "",
    annotator: User | None = None,
    before: int | None = None,
) -> list[Annotation]:
    """Return what was neither corrected nor taken back, newest first, with what it says.

    So many of those made `before` one of them: the millionth costs what the first does.
    """
    wanted = {"kind": kind, "annotator": annotator}
    found = annotations.filter(in_force(), **{name: one for name, one in wanted.items() if one})
    read = ("annotator", "guideline_version", "item__prompt", "rating__scheme")
    return newest(with_payload(found).select_related(*read), number, before=before)


def item_history(user: User, item: Item) -> ItemHistory:
    """Return what a person may see of what happened to an item."""
    unanswered = Assignment.objects.filter(annotator=user, state__in=Assignment.UNANSWERED)
    if unanswered.filter(item__subject__item=item).exists():
        return ItemHistory([], [], is_hidden=True, is_blind=True)
    events = Prefetch("events", AssignmentEvent.objects.order_by("id"))
    handed_out = item.assignments.select_related("annotator").prefetch_related(events)
    assignments = list(handed_out.order_by("id"))
    owes = any(
        one.annotator_id == user.pk and one.state in Assignment.UNANSWERED for one in assignments
    )
    records = [] if owes else records_of(annotations_of(item))
    return ItemHistory(assignments, records, is_hidden=owes)
