"""Faults that were reported once and must not come back, and cases of guidelines."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from annotations.api.operations import (
    LARGEST_ID,
    Answer,
    Body,
    Call,
    Flag,
    Operations,
    Query,
    Scope,
)
from training import access, selectors, services
from training.api.runs import RunOut, run_out
from training.models import RegressionResult

operations = Operations("Regression cases", refusals=(services.ServiceError,))

Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
Part = Literal[
    "general",
    "demonstration",
    "comparison",
    "ranking",
    "rating",
    "rewrite",
    "assembly",
    "review",
    "conversation",
    "evaluation",
]


class ResultOut(Answer):
    """What a checkpoint did with a regression case."""

    checkpoint: int
    passed: bool
    why: str
    answers: list[str]
    run: int | None
    created_at: datetime


class CheckedOut(Answer):
    """A regression case, and what a checkpoint did with it by its check."""

    case: int
    ticket: int
    reason: str
    is_fixed: bool = Field(description="A promoted checkpoint passed it: failing, it comes back.")
    result: ResultOut | None = Field(description="Null: it was not tried by this check.")


class CheckedCases(Answer):
    """Every regression case that binds, for one checkpoint."""

    cases: list[CheckedOut]
    refusals: list[str] = Field(description="Why the gate is closed to it, a sentence for each.")


class TicketWay(Answer):
    """How a ticket's rewrite came into models, and what they then answered."""

    snapshots: list[int]
    runs: list[int]
    results: list[ResultOut] = Field(description="The newest of each checkpoint.")


class CaseFilters(Query):
    """Which cases."""

    kind: Part = Field("comparison", description="For what the guidelines are.")
    draft: Flag = Field(False, description="Of the draft of the owner of the token.")


class ModelVerdict(Answer):
    """What a reward model makes of a case of the guidelines."""

    checkpoint: int
    first: float | None = Field(description="The score of the first answer; null: not scored yet.")
    second: float | None
    passed: bool | None = Field(description="Null where no score says so, as for a tie.")


class CaseLine(Answer):
    """A case of the guidelines: two answers to a prompt, and which is to be chosen."""

    digest: str
    clause: str
    title: str
    first: str
    second: str
    expected: str
    verdicts: list[ModelVerdict]


class CaseScores(Answer):
    """The cases of guidelines beside the newest reward models."""

    cases: list[CaseLine]
    unscored: dict[int, int] = Field(description="By reward model: cases that it has not scored.")
    running: int | None = Field(description="The run that scores cases now.")


class Replay(Body):
    """Which reward model is to score the cases of which guidelines."""

    kind: Part
    checkpoint: Id
    draft: bool = False


@operations.get("checkpoints/<int:checkpoint_id>/regressions")
def list_regressions(call: Call, checkpoint_id: int) -> CheckedCases:
    """Show what a checkpoint did with every regression case that binds."""
    checkpoint = access.get_checkpoint_for(call.user, checkpoint_id)
    return CheckedCases(
        cases=[checked_out(one) for one in selectors.checked_cases(checkpoint)],
        refusals=selectors.regressions_failed(checkpoint),
    )


@operations.post("checkpoints/<int:checkpoint_id>/regressions", Scope.TRAIN, status=201)
def start_regressions(call: Call, checkpoint_id: int) -> RunOut:
    """Queue a run in which a checkpoint answers the prompts of all regression cases."""
    checkpoint = access.get_checkpoint_for(call.user, checkpoint_id)
    return run_out(services.start_regressions(checkpoint, started_by=call.user))


@operations.get("tickets/<int:ticket_id>/way")
def get_ticket_way(call: Call, ticket_id: int) -> TicketWay:
    """Show what learnt from a ticket's rewrite, and which checkpoints pass its case."""
    way = selectors.ticket_way(access.get_ticket_for(call.user, ticket_id))
    return TicketWay(
        snapshots=[one.pk for one in way.snapshots],
        runs=[one.pk for one in way.runs],
        results=[_result(one) for one in way.results],
    )


@operations.get("projects/<int:project_id>/case-scores")
def get_case_scores(call: Call, project_id: int, query: CaseFilters) -> CaseScores:
    """Show what the newest reward models make of the cases of guidelines."""
    project = access.get_project_for(call.user, project_id)
    cases = selectors.cases_of(project, query.kind, call.user if query.draft else None)
    table = selectors.case_table(project, cases)
    return CaseScores(
        cases=[_line(table, line) for clause in table.clauses for line in clause.lines],
        unscored={one.pk: count for one, count in table.unscored},
        running=table.running.pk if table.running else None,
    )


@operations.post("projects/<int:project_id>/case-scores", Scope.TRAIN, status=201)
def replay_cases(call: Call, project_id: int, body: Replay) -> RunOut:
    """Queue a run in which a reward model scores the cases that it has not scored."""
    project = access.get_project_for(call.user, project_id)
    model = access.get_checkpoint_for(call.user, body.checkpoint)
    if model.project_id != project.pk:
        raise services.ServiceError("Choose a reward model of this project.")
    cases = selectors.cases_of(project, body.kind, call.user if body.draft else None)
    return run_out(services.start_replay(project, cases, model, started_by=call.user))


def checked_out(checked: selectors.CheckedCase) -> CheckedOut:
    """Return a regression case as it is answered."""
    case = checked.case
    return CheckedOut(
        case=case["case_id"],
        ticket=case["ticket_id"],
        reason=case["reason"],
        is_fixed=case["is_fixed"],
        result=_result(checked.result) if checked.result else None,
    )


def _result(result: RegressionResult) -> ResultOut:
    return ResultOut(
        checkpoint=result.checkpoint_id,
        passed=result.passed,
        why=result.text,
        answers=result.answers,
        run=result.run_id,
        created_at=result.created_at,
    )


def _line(table: selectors.CaseTable, line: selectors.CaseLine) -> CaseLine:
    case = line.case
    return CaseLine(
        digest=case["digest"],
        clause=case["clause"],
        title=case["title"],
        first=case["first"],
        second=case["second"],
        expected=case["expected"],
        verdicts=[
            ModelVerdict(
                checkpoint=model.pk,
                first=one.score.first if one.score else None,
                second=one.score.second if one.score else None,
                passed=one.passed,
            )
            for model, one in zip(table.models, line.verdicts, strict=True)
        ],
    )
