"""Turns of the loop."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from annotations.api.operations import Answer, Body, Call, Operations, Scope
from annotations.api.pages import Page, Paged, page_of
from training import access, services
from training.models import Round

operations = Operations("Rounds", refusals=(services.ServiceError,))


class RoundOut(Answer):
    """One turn of the loop: sample, collect, learn, evaluate, decide."""

    id: int
    number: int
    policy: int
    sample_run: int | None
    reward_run: int | None
    policy_run: int | None
    suite_run: int | None
    evaluation: int | None
    decision: str = Field(description="Why it ended as it did; empty while it is open.")
    created_at: datetime
    ended_at: datetime | None


class Decision(Body):
    """Why the round ends without a promotion."""

    decision: Annotated[str, StringConstraints(min_length=1, max_length=2000)]


@operations.get("projects/<int:project_id>/rounds")
def list_rounds(call: Call, project_id: int, query: Paged) -> Page[RoundOut]:
    """List the rounds of a project. Its owners and engineers can."""
    project = access.get_project_for(call.user, project_id)
    return page_of(project.rounds.all(), query, _round)


@operations.post("projects/<int:project_id>/rounds", Scope.TRAIN)
def open_round(call: Call, project_id: int) -> RoundOut:
    """Open the next round with the promoted checkpoint, or answer with the open one."""
    return _round(services.open_round(access.get_project_for(call.user, project_id)))


@operations.post("projects/<int:project_id>/rounds/close", Scope.TRAIN)
def close_round(call: Call, project_id: int, body: Decision) -> RoundOut:
    """End the open round without a promotion."""
    project = access.get_project_for(call.user, project_id)
    return _round(services.close_round(project, decision=body.decision))


def _round(one: Round) -> RoundOut:
    return RoundOut(
        id=one.pk,
        number=one.number,
        policy=one.policy_id,
        sample_run=one.sample_run_id,
        reward_run=one.reward_run_id,
        policy_run=one.policy_run_id,
        suite_run=one.suite_run_id,
        evaluation=one.evaluation_id,
        decision=one.decision,
        created_at=one.created_at,
        ended_at=one.ended_at,
    )
