"""One person in a project: how they work, what they are told, what they may do."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from annotations import access, selectors, services
from annotations.algorithms.shares import Share
from annotations.algorithms.winrate import WinRate
from annotations.api.operations import Answer, Body, Call, Operations
from annotations.api.pages import Page, Paged, page_of
from annotations.models import Kind, KindDecision, MemberNote, Role, Scope, User
from annotations.services.members import MAX_NOTE_CHARS
from annotations.services.qualification import MAX_WHY_CHARS

operations = Operations("People")

ReasonText = Annotated[
    str,
    StringConstraints(min_length=1),
    # Documented alone: a service has better words for a blank text.
    Field(json_schema_extra={"pattern": r"[^\s\x1c-\x1f\x85]"}),
]
"""Why something is decided, or another text that says something."""


class PersonOut(Answer):
    """Somebody with an account here."""

    id: int
    username: str
    name: str


class ShareOut(Answer):
    """A share with its 95 % interval. Of nothing it is null, and everything is possible."""

    share: float | None
    low: float
    high: float
    n: int


class CountOfKind(Answer):
    """How many answers of one kind."""

    kind: str = Field(description="In words.")
    answers: int


class ShareOfKind(Answer):
    """A share among the answers of one kind."""

    kind: str = Field(description="In words.")
    share: ShareOut


class WeekOut(Answer):
    """How much was handed in, in the week that began then."""

    start: datetime
    answers: int


class GoldWeekOut(Answer):
    """How often the known answer was given, in the week that began then."""

    start: datetime
    share: ShareOut


class GoldReport(Answer):
    """Gold items answered as known."""

    all: ShareOut
    by_kind: list[ShareOfKind] = Field(description="Where there are several kinds.")
    weeks: list[GoldWeekOut]


class PeersReport(Answer):
    """How far others said the same of the same items."""

    all: ShareOut
    by_kind: list[ShareOfKind] = Field(description="Where there are several kinds.")


class KindDecisionOut(Answer):
    """What an owner decided by hand about a kind of work."""

    is_granted: bool
    reason: str
    created_at: datetime


class KindStandingOut(Answer):
    """Whether a person may do a kind of work, and why."""

    kind: Kind
    is_open: bool
    why: str = Field(description="What the rules say.")
    decision: KindDecisionOut | None = Field(
        description="What an owner decided by hand, which goes before the rules."
    )


class PersonReportOut(Answer):
    """What owners and the person themselves see of somebody's work."""

    person: PersonOut
    answers: int
    by_kind: list[CountOfKind]
    skips: int
    active_seconds: int
    seconds: float | None = Field(description="The median from hand-out to hand-in.")
    too_fast: ShareOut = Field(description="Sent before the texts can be read.")
    left: ShareOut = Field(description="Of decided comparisons: those that went to A.")
    longer: ShareOut = Field(description="Those that went to the longer answer.")
    earlier: ShareOut = Field(description="Ranked or rated: the one shown earlier won.")
    longer_ordered: ShareOut = Field(description="Ranked or rated: the longer one won.")
    weeks: list[WeekOut]
    gold: GoldReport | None = Field(
        description="To owners, of others: one's own would say which items are gold."
    )
    peers: PeersReport | None = Field(
        description="Null to labellers of projects that do not show it."
    )
    is_held_out: bool | None = Field(
        description="Whether no model learns from them. Null to all but owners."
    )
    kinds: list[KindStandingOut]


class NoteOut(Answer):
    """What an owner tells a person about their work."""

    id: int
    text: str
    by: str
    created_at: datetime
    read_at: datetime | None


class NewNote(Body):
    """What the person should know. They see it on their pages until they have read it."""

    text: Annotated[ReasonText, StringConstraints(max_length=MAX_NOTE_CHARS)]


class HeldOutIn(Body):
    """Whether models are to learn from a person."""

    is_held_out: bool


class HeldOutNow(Answer):
    """Whether no model learns from a person, so that models can be held against them."""

    is_held_out: bool


class NewKindDecision(Body):
    """What holds for a person and a kind of work, whatever the rules say."""

    kind: Kind
    decision: Annotated[str, StringConstraints(pattern="^(granted|withdrawn|lifted)$")] = Field(
        description="`lifted`: as the rules say, again."
    )
    reason: Annotated[ReasonText, StringConstraints(max_length=MAX_WHY_CHARS)] = Field(
        description="The person reads it, and it stays in the audit log."
    )


@operations.get("projects/<int:project_id>/people/<int:user_id>")
def get_person(call: Call, project_id: int, user_id: int) -> PersonReportOut:
    """Show how somebody works: to themselves, and to owners of the project.

    Who is no member any more is still there with what they annotated and earned.
    """
    project, person = access.get_person_for(call.user, project_id, user_id)
    report = selectors.person_report(project, person)
    is_owner = owns(call, project_id)
    shows_gold = is_owner and person != call.user
    return PersonReportOut(
        person=person_out(person),
        answers=report.answers,
        by_kind=[CountOfKind(kind=kind, answers=count) for kind, count in report.by_kind],
        skips=report.skips,
        active_seconds=int(report.active.total_seconds()),
        seconds=report.seconds,
        too_fast=share_out(report.too_fast),
        left=share_out(report.left),
        longer=share_out(report.longer),
        earlier=_rate_out(report.earlier),
        longer_ordered=_rate_out(report.longer_ordered),
        weeks=[WeekOut(start=one.start, answers=one.answers) for one in report.weeks],
        gold=_gold(report) if shows_gold else None,
        peers=_peers(report) if is_owner or project.shows_agreement else None,
        is_held_out=selectors.is_held_out(person, project) if is_owner else None,
        kinds=[
            KindStandingOut(
                kind=Kind(one.kind),
                is_open=one.is_open,
                why=one.why,
                decision=_decision(one.decision) if one.decision else None,
            )
            for one in selectors.kind_standings(person, project)
        ],
    )


@operations.get("projects/<int:project_id>/people/<int:user_id>/notes")
def list_notes(call: Call, project_id: int, user_id: int, query: Paged) -> Page[NoteOut]:
    """List what a person was told: to themselves, and to owners of the project."""
    project, person = access.get_person_for(call.user, project_id, user_id)
    return page_of(selectors.notes_to(person, project), query, _note)


@operations.post("projects/<int:project_id>/people/<int:user_id>/notes", Scope.WRITE, status=201)
def write_note(call: Call, project_id: int, user_id: int, body: NewNote) -> NoteOut:
    """Tell a person something about their work. Owners of the project can."""
    access.get_project_for(call.user, project_id, Role.OWNER)
    project, person = access.get_person_for(call.user, project_id, user_id)
    return _note(services.write_note(project, person, body.text, call.user))


@operations.post("notes/<int:note_id>/read", Scope.LABEL)
def read_note(call: Call, note_id: int) -> NoteOut:
    """Keep that the owner of the token has read a note to them. Twice is once."""
    services.read_note(access.get_note_for(call.user, note_id))
    return _note(access.get_note_for(call.user, note_id))


@operations.put("projects/<int:project_id>/people/<int:user_id>/held-out", Scope.WRITE)
def hold_out(call: Call, project_id: int, user_id: int, body: HeldOutIn) -> HeldOutNow:
    """Let no model learn from what a person annotates, or again from what they annotate from now.

    Snapshots that were frozen before stay as they are. Owners of the project can.
    """
    access.get_project_for(call.user, project_id, Role.OWNER)
    project, person = access.get_person_for(call.user, project_id, user_id)
    if body.is_held_out:
        services.hold_out(project, person, call.user)
    else:
        services.end_hold_out(project, person)
    return HeldOutNow(is_held_out=selectors.is_held_out(person, project))


@operations.post(
    "projects/<int:project_id>/people/<int:user_id>/qualification", Scope.WRITE, status=201
)
def decide_kind(
    call: Call, project_id: int, user_id: int, body: NewKindDecision
) -> KindDecisionOut:
    """Let a person do a kind of work or not, or leave it to the rules. Owners can.

    It holds from the next item that is handed out.
    """
    access.get_project_for(call.user, project_id, Role.OWNER)
    project, person = access.get_person_for(call.user, project_id, user_id)
    decided = services.decide_kind(
        project, person, body.kind, body.decision, reason=body.reason, decided_by=call.user
    )
    return _decision(decided)


def owns(call: Call, project_id: int) -> bool:
    """Say whether people are names to the owner of the token; to others they are pseudonyms."""
    return access.get_membership_for(call.user, project_id).role == Role.OWNER


def person_out(person: User) -> PersonOut:
    """Return a person as owners may know them."""
    return PersonOut(id=person.pk, username=person.username, name=str(person))


def share_out(share: Share) -> ShareOut:
    """Return a share as it is answered."""
    return ShareOut(share=share.share, low=share.low, high=share.high, n=share.n)


def _rate_out(rate: WinRate) -> ShareOut:
    return ShareOut(share=rate.rate if rate.n else None, low=rate.low, high=rate.high, n=rate.n)


def _gold(report: selectors.PersonReport) -> GoldReport:
    return GoldReport(
        all=share_out(report.gold),
        by_kind=[
            ShareOfKind(kind=kind, share=share_out(share)) for kind, share in report.gold_by_kind
        ],
        weeks=[
            GoldWeekOut(start=one.start, share=share_out(one.share)) for one in report.gold_weeks
        ],
    )


def _peers(report: selectors.PersonReport) -> PeersReport:
    return PeersReport(
        all=_rate_out(report.peers),
        by_kind=[
            ShareOfKind(kind=kind, share=_rate_out(rate)) for kind, rate in report.peers_by_kind
        ],
    )


def _decision(decision: KindDecision) -> KindDecisionOut:
    return KindDecisionOut(
        is_granted=decision.is_granted, reason=decision.reason, created_at=decision.created_at
    )


def _note(note: MemberNote) -> NoteOut:
    return NoteOut(
        id=note.pk,
        text=note.text,
        by=str(note.made_by),
        created_at=note.created_at,
        read_at=note.read_at,
    )
