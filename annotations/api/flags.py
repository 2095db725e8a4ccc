"""Signs that somebody does not look at what they judge: the evidence, and what is decided."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from annotations import access, services
from annotations.api.operations import LARGEST_ID, Answer, Body, Call, Operations
from annotations.api.pages import Page, Paged, page_of
from annotations.api.people import PersonOut, ReasonText, person_out
from annotations.models import AutomaticPause, FlagDecision, Role, Scope
from annotations.selectors import flags as selected
from annotations.services.flags import MAX_REASON_CHARS

operations = Operations("Flags")


class FlagOut(Answer):
    """A sign that stands out. It is about one person, or two who may copy."""

    detector: str = Field(description="What it was found by; with `people` it names the flag.")
    title: str
    people: list[PersonOut]
    evidence: str
    answers: int = Field(description="Behind the evidence.")
    p: float = Field(description="How likely that is by chance, all that was looked at counted.")
    is_paused: bool = Field(description="All of them are paused already.")
    paused_by_flag: bool = Field(description="By this project's rule, until an owner decides.")


class PausedOut(Answer):
    """Somebody whom a flag alone has paused, until an owner decides."""

    person: PersonOut
    detector: str
    evidence: str
    answers: int
    created_at: datetime


class Flags(Answer):
    """What stands out among the newest answers, the surest first."""

    flags: list[FlagOut]
    paused: list[PausedOut] = Field(
        description="Whom a flag has paused and nobody has decided about: resume them as members."
    )


class FlagDecisionOut(Answer):
    """What was decided about a flag, on the evidence that there was. It never changes."""

    id: int
    detector: str
    title: str
    people: list[PersonOut]
    verdict: FlagDecision.Verdict
    reason: str
    evidence: str
    answers: int
    created_at: datetime


class DecidedFlag(Body):
    """Which flag, what becomes of it and why."""

    detector: Annotated[str, StringConstraints(min_length=1, max_length=16)]
    people: list[Annotated[int, Field(ge=1, le=LARGEST_ID)]] = Field(min_length=1, max_length=2)
    verdict: FlagDecision.Verdict
    reason: Annotated[ReasonText, StringConstraints(max_length=MAX_REASON_CHARS)]


@operations.get("projects/<int:project_id>/flags")
def list_flags(call: Call, project_id: int) -> Flags:
    """List what stands out and nobody has dismissed, with its evidence. Owners can."""
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    return Flags(
        flags=[
            FlagOut(
                detector=one.signal.detector,
                title=one.title,
                people=[person_out(person) for person in one.people],
                evidence=one.signal.evidence,
                answers=one.signal.n,
                p=one.signal.p,
                is_paused=one.is_paused,
                paused_by_flag=one.pause is not None,
            )
            for one in selected.flags(project)
        ],
        paused=[_pause(one) for one in selected.open_pauses(project)],
    )


@operations.get("projects/<int:project_id>/flag-decisions")
def list_flag_decisions(call: Call, project_id: int, query: Paged) -> Page[FlagDecisionOut]:
    """List what was decided about flags. Owners of the project can."""
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    return page_of(project.flag_decisions.select_related("person", "other"), query, _decision)


@operations.post("projects/<int:project_id>/flag-decisions", Scope.WRITE, status=201)
def decide_flag(call: Call, project_id: int, body: DecidedFlag) -> FlagDecisionOut:
    """Dismiss a flag, or pause who it is about. The evidence is kept, and nobody's pay changes.

    A dismissed flag comes back with twice as many answers behind it. Owners of the project can.
    """
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    decided = services.decide_flag(
        project,
        body.detector,
        body.people,
        verdict=body.verdict,
        reason=body.reason,
        decided_by=call.user,
    )
    return _decision(decided)


def _decision(decision: FlagDecision) -> FlagDecisionOut:
    people = [decision.person, *([decision.other] if decision.other else [])]
    return FlagDecisionOut(
        id=decision.pk,
        detector=decision.detector,
        title=selected.TITLES.get(decision.detector, decision.detector),
        people=[person_out(person) for person in people],
        verdict=FlagDecision.Verdict(decision.verdict),
        reason=decision.reason,
        evidence=decision.evidence,
        answers=decision.n,
        created_at=decision.created_at,
    )


def _pause(pause: AutomaticPause) -> PausedOut:
    return PausedOut(
        person=person_out(pause.person),
        detector=pause.detector,
        evidence=pause.evidence,
        answers=pause.n,
        created_at=pause.created_at,
    )
