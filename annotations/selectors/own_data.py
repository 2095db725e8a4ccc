"""Everything that is stored here about one person, for themselves to see and to take away.

Which items were gold is left out, as everywhere. What belongs to the models' side (tokens, chats)
is on its own pages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Case, F, Q, QuerySet, TextField, Value, When
from django.utils.translation import gettext_noop

from annotations.models import (
    WRITTEN_KINDS,
    Annotation,
    Assignment,
    AssignmentEvent,
    AutomaticPause,
    Battle,
    CorrectionDraft,
    FlagDecision,
    GuidelineAcknowledgement,
    GuidelineDraft,
    HeldOut,
    KindDecision,
    MemberNote,
    Membership,
    PayEntry,
    Prompt,
    RankedCompletion,
    RatingAnswer,
    Recall,
    ScreeningAnswer,
    TestAttempt,
    TestVerdict,
    TicketReport,
    Turn,
    User,
)
from annotations.selectors.flags import TITLES

CHUNK = 2000

COUNT_GOLD = ("random", "copier_on_gold")
"""Signs whose evidence counts gold items."""
NOT_TOLD = "Not told: it counts items that are there to check the work."

KEYS = {
    "project__name": "project",
    "guideline_version__project__name": "project",
    "guideline_version__kind": "kind",
    "guideline_version__version": "version",
    "item__project__name": "project",
    "item__kind": "kind",
    "item__prompt__text": "prompt",
    "prompt__text": "prompt",
    "supersedes_id": "in_place_of",
    "retraction__created_at": "taken_back_at",
    "comparison__left_id": "left",
    "comparison__right_id": "right",
    "comparison__outcome": "outcome",
    "comparison__strength": "strength",
    "demonstration__completion__text": "demonstration",
    "rewrite__completion__text": "rewrite",
    "assembly__completion__text": "assembly",
    "review__decision": "decision",
    "review__completion__text": "fix",
    "told_evidence": "evidence",
}
"""What a column is called in the file, where the database's name for it says nothing to people."""

Rows = QuerySet[Any, Any]
"""Read as dictionaries."""


@dataclass(frozen=True)
class Stored:
    """One part of what is stored: its name in the file, what it is, and its rows."""

    name: str
    words: str
    rows: Rows

    @property
    def count(self) -> int:
        return self.rows.count()

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the rows, a few thousand in memory at a time."""
        for row in self.rows.iterator(chunk_size=CHUNK):
            yield {KEYS.get(name, name): value for name, value in row.items()}


def account_of(user: User) -> dict[str, Any]:
    """Return what is stored of the account; the password is not, only a hash of it."""
    return {
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "joined": user.date_joined,
        "last_sign_in": user.last_login,
        "keys": user.keys,
        "sends_on_choice": user.sends_on_choice,
    }


def stored_about(user: User) -> list[Stored]:
    """Return what is stored about a person, part by part, each in the order that it came."""
    return [
        Stored("memberships", gettext_noop("Projects, roles and groups"), _memberships(user)),
        Stored(
            "acknowledgements",
            gettext_noop("Guidelines that you have seen"),
            _acknowledgements(user),
        ),
        Stored(
            "guideline_drafts",
            gettext_noop("Guidelines that you are writing"),
            _guideline_drafts(user),
        ),
        Stored(
            "assignments",
            gettext_noop("Items that you were handed, and your drafts"),
            _assignments(user),
        ),
        Stored("events", gettext_noop("What happened to them"), _events(user)),
        Stored("annotations", gettext_noop("What you have annotated"), _annotations(user)),
        Stored(
            "correction_drafts",
            gettext_noop("Corrections that you have begun"),
            _correction_drafts(user),
        ),
        Stored("prompts", gettext_noop("Prompts that you have written"), _prompts(user)),
        Stored("turns", gettext_noop("What you have said in conversations"), _turns(user)),
        Stored(
            "rankings", gettext_noop("Your rankings, completion by completion"), _rankings(user)
        ),
        Stored("ratings", gettext_noop("Your ratings, question by question"), _ratings(user)),
        Stored("battles", gettext_noop("What you asked in the arena"), _battles(user)),
        Stored("reports", gettext_noop("Answers that you have reported"), _reports(user)),
        Stored("pay", gettext_noop("Your ledger of pay"), _pay(user)),
        Stored("notes", gettext_noop("What owners have told you"), _notes(user)),
        Stored("practice", gettext_noop("Your answers in practice"), _practice(user)),
        Stored("tests", gettext_noop("Tests that you have taken"), _tests(user)),
        Stored("test_texts", gettext_noop("What you have written in tests"), _test_texts(user)),
        Stored("verdicts", gettext_noop("What was said of it"), _verdicts(user)),
        Stored(
            "kind_decisions",
            gettext_noop("What was decided about the work you may do"),
            _kinds(user),
        ),
        Stored("held_out", gettext_noop("When no model learned from you"), _held_out(user)),
        Stored("flags", gettext_noop("What was decided about signs in your work"), _flags(user)),
        Stored("pauses", gettext_noop("When a sign in your work paused you"), _pauses(user)),
        Stored("recalls", gettext_noop("When your work was not counted"), _recalls(user)),
    ]


def own_data_as_json(user: User) -> Iterator[str]:
    """Yield all of it in parts: a row a line, so that nothing is ever whole in memory."""
    encode = DjangoJSONEncoder(ensure_ascii=False).encode
    yield f'{{"account": {encode(account_of(user))}'
    for part in stored_about(user):
        yield f",\n{json.dumps(part.name)}: ["
        separator = "\n"
        for row in part.read():
            yield f"{separator}{encode(row)}"
            separator = ",\n"
        yield "]"
    yield "}\n"


def _memberships(user: User) -> Rows:
    rows = Membership.objects.filter(user=user).order_by("id")
    return rows.values("project__name", "role", "state", "created_at", group=F("groups__name"))


def _acknowledgements(user: User) -> Rows:
    rows = GuidelineAcknowledgement.objects.filter(user=user).order_by("id")
    fields = ("project__name", "kind", "version")
    return rows.values(*(f"guideline_version__{field}" for field in fields), "created_at")


def _guideline_drafts(user: User) -> Rows:
    rows = GuidelineDraft.objects.filter(author=user).order_by("id")
    return rows.values("project__name", "kind", "text", "note", "saved_at")


def _assignments(user: User) -> Rows:
    return (
        Assignment.objects.filter(annotator=user)
        .order_by("id")
        .values(
            "id",
            "item_id",
            "item__project__name",
            "item__kind",
            "item__prompt__text",
            "state",
            "leased_at",
            "closed_at",
            "shown_order",
            "active_ms",
            "skip_reason",
            "skip_note",
            "draft",
        )
    )


def _events(user: User) -> Rows:
    rows = AssignmentEvent.objects.filter(assignment__annotator=user).order_by("id")
    return rows.values("assignment_id", "name", "created_at")


def _annotations(user: User) -> Rows:
    return (
        Annotation.objects.filter(annotator=user)
        .order_by("id")
        .values(
            "id",
            "assignment_id",
            "item_id",
            "kind",
            "created_at",
            "reason",
            "surplus",
            "wall_ms",
            "active_ms",
            "supersedes_id",
            "retraction__created_at",
            "comparison__left_id",
            "comparison__right_id",
            "comparison__outcome",
            "comparison__strength",
            "demonstration__completion__text",
            "rewrite__completion__text",
            "assembly__completion__text",
            "review__decision",
            "review__completion__text",
        )
    )


def _correction_drafts(user: User) -> Rows:
    rows = CorrectionDraft.objects.filter(annotator=user).order_by("annotation_id")
    return rows.values("annotation_id", "fields")


def _prompts(user: User) -> Rows:
    """Return what somebody wrote: not what a file held, nor what stands in battles and turns."""
    elsewhere = (Prompt.Origin.IMPORTED, Prompt.Origin.ARENA)
    rows = Prompt.objects.filter(created_by=user).exclude(origin__in=elsewhere).order_by("id")
    return rows.values("id", "project__name", "text", "style", "created_at")


def _turns(user: User) -> Rows:
    rows = Turn.objects.filter(assignment__annotator=user).order_by("id")
    said = ("prompt__text", "asked_at", "outcome", "strength")
    return rows.values("assignment_id", "number", *said)


def _rankings(user: User) -> Rows:
    rows = RankedCompletion.objects.filter(ranking__annotation__annotator=user).order_by("id")
    return rows.values("ranking_id", "completion_id", "tier")


def _ratings(user: User) -> Rows:
    rows = RatingAnswer.objects.filter(rating__annotation__annotator=user).order_by("id")
    return rows.values("rating_id", "completion_id", "question", "value")


def _battles(user: User) -> Rows:
    rows = Battle.objects.filter(voter=user).order_by("id")
    return rows.values("id", "project__name", "prompt__text", "assignment_id")


def _reports(user: User) -> Rows:
    rows = TicketReport.objects.filter(reporter=user).order_by("id")
    return rows.values("ticket_id", "reason", "words", "created_at")


def _pay(user: User) -> Rows:
    rows = PayEntry.objects.filter(person=user).order_by("id")
    return rows.values(
        "id",
        "project__name",
        "source",
        "annotation_id",
        "active_ms",
        "amount_micros",
        "currency",
        "reason",
        "created_at",
    )


def _notes(user: User) -> Rows:
    rows = MemberNote.objects.filter(person=user).order_by("id")
    return rows.values("project__name", "text", "created_at", "read_at")


def _practice(user: User) -> Rows:
    rows = ScreeningAnswer.objects.filter(person=user, attempt=None).order_by("id")
    return rows.values("item_id", "said", "is_right", "score", "created_at")


def _tests(user: User) -> Rows:
    rows = TestAttempt.objects.filter(person=user).order_by("id")
    fields = ("kind", "right", "score", "passed", "created_at", "finished_at")
    return rows.values("project__name", *fields)


def _test_texts(user: User) -> Rows:
    # Of what is scored by what is known even the question would say which items are gold.
    rows = ScreeningAnswer.objects.filter(person=user, item__kind__in=WRITTEN_KINDS)
    rows = rows.filter(attempt__isnull=False).order_by("id")
    return rows.values("id", "attempt_id", "item__prompt__text", "said", "created_at")


def _verdicts(user: User) -> Rows:
    # As on the page: once all of a test is judged.
    rows = TestVerdict.objects.filter(
        answer__person=user, answer__attempt__passed__isnull=False
    ).order_by("answer_id")
    return rows.values("answer_id", "passes", "reason", "created_at")


def _kinds(user: User) -> Rows:
    rows = KindDecision.objects.filter(person=user).order_by("id")
    fields = ("kind", "is_granted", "reason", "created_at", "ended_at")
    return rows.values("project__name", *fields)


def _held_out(user: User) -> Rows:
    rows = HeldOut.objects.filter(user=user).order_by("id")
    return rows.values("project__name", "created_at", "ended_at")


def _flags(user: User) -> Rows:
    rows = FlagDecision.objects.filter(Q(person=user) | Q(other=user)).order_by("id")
    fields = ("project__name", "verdict", "reason", "created_at")
    return rows.values(*fields, sign=_sign(), told_evidence=_evidence())


def _pauses(user: User) -> Rows:
    rows = AutomaticPause.objects.filter(person=user).order_by("id")
    fields = ("project__name", "created_at", "ended_at")
    return rows.values(*fields, sign=_sign(), told_evidence=_evidence())


def _sign() -> Case:
    """Return a sign in the words of the page."""
    titles = [When(detector=name, then=Value(title)) for name, title in TITLES.items()]
    return Case(*titles, default="detector", output_field=TextField())


def _evidence() -> Case:
    """Return what a sign was seen by, but for what counts gold items: nobody is to learn of it."""
    hidden = When(detector__in=COUNT_GOLD, then=Value(NOT_TOLD))
    return Case(hidden, default="evidence", output_field=TextField())


def _recalls(user: User) -> Rows:
    rows = Recall.objects.filter(annotator=user).order_by("id")
    fields = ("since", "until", "reason", "created_at", "lifted_at", "lift_reason")
    return rows.values("project__name", *fields)
