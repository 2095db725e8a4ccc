"""Turns of the loop, and how far they go by themselves."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, StringConstraints

from annotations.api.operations import Answer, Body, Call, Operations, Scope
from annotations.api.pages import Page, Paged, page_of
from training import access, selectors, services
from training.drivers import driver_of
from training.models import Automation, Round
from training.services.automation import MOST

if TYPE_CHECKING:
    from annotations.models import Project

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


class ShareOfVotes(Answer):
    """A share with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


class RoundFigures(Answer):
    """What an ended round came to, and what it cost."""

    round: int
    number: int
    wins: ShareOfVotes | None = Field(description="Of what it made against what it began with.")
    against_first: ShareOfVotes | None = Field(
        description="Of what it made against the first promoted checkpoint, by all votes."
    )
    accuracy: ShareOfVotes | None = Field(description="Of its reward model on held-out judgements.")
    people: ShareOfVotes | None = Field(
        description="How often two people agree on such judgements."
    )
    labels: int
    votes: int
    seconds: float = Field(description="That its runs took.")


class AllFigures(Answer):
    """The ended rounds of a project in figures, newest first."""

    rounds: list[RoundFigures]


class StepOut(Answer):
    """One stage of the loop, and the one thing to do next in it."""

    name: Literal[
        "start", "prompts", "comparisons", "reward", "policy", "suite", "evaluation", "promotion"
    ]
    title: str
    state: Literal["done", "current", "waiting", "failed"]
    numbers: dict[str, int | float | str]
    note: str
    next: str = Field(description="What to do next, in words; empty where there is nothing.")
    run: int | None


class AutomationOut(Answer):
    """How far rounds go by themselves."""

    mode: Automation.Mode
    new_comparisons: int
    settings_from: Automation.SettingsFrom
    by: str = Field(description="In whose name; empty where nobody ever said so.")


class LoopOut(Answer):
    """Where the loop stands."""

    round: RoundOut | None = Field(description="The open one.")
    steps: list[StepOut]
    goes_on: bool = Field(description="Something happens here without a person.")
    driver: str = Field(description="In whose name; empty where it is driven by hand.")
    what: str = Field(description="What it does next by itself, waits for, or asks a person.")
    needs_person: bool
    can_retry: bool
    skip: str = Field(description="What skipping the wait would do; empty where it can't be.")
    automation: AutomationOut


class Decision(Body):
    """Why the round ends without a promotion."""

    decision: Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class NewAutomation(Body):
    """How far rounds are to go by themselves, from now on in the name of the token's owner."""

    mode: Automation.Mode
    new_comparisons: Annotated[int, Field(ge=1, le=MOST)] = Field(
        description="While it is on, a round trains once so many are in, or all of its items."
    )
    settings_from: Automation.SettingsFrom


@operations.get("projects/<int:project_id>/rounds")
def list_rounds(call: Call, project_id: int, query: Paged) -> Page[RoundOut]:
    """List the rounds of a project. Its owners and engineers can."""
    project = access.get_project_for(call.user, project_id)
    return page_of(project.rounds.all(), query, _round)


@operations.post("projects/<int:project_id>/rounds", Scope.TRAIN)
def open_round(call: Call, project_id: int) -> RoundOut:
    """Open the next round with the promoted checkpoint, or answer with the open one."""
    return _round(services.open_round(access.get_project_for(call.user, project_id)))


@operations.get("projects/<int:project_id>/rounds/figures")
def get_round_figures(call: Call, project_id: int) -> AllFigures:
    """Show what each ended round came to and what it cost. Owners and engineers can."""
    project = access.get_project_for(call.user, project_id)
    return AllFigures(rounds=[_figures(one) for one in selectors.past_rounds(project)])


@operations.post("projects/<int:project_id>/rounds/close", Scope.TRAIN)
def close_round(call: Call, project_id: int, body: Decision) -> RoundOut:
    """End the open round without a promotion."""
    project = access.get_project_for(call.user, project_id)
    return _round(services.close_round(project, decision=body.decision))


@operations.get("projects/<int:project_id>/loop")
def get_loop(call: Call, project_id: int) -> LoopOut:
    """Show where the loop stands, and what it does next. Owners and engineers can."""
    return _loop(call, access.get_project_for(call.user, project_id))


@operations.post("projects/<int:project_id>/loop/run", Scope.TRAIN)
def run_round(call: Call, project_id: int) -> LoopOut:
    """Let the open round, or a new one, go on by itself to its end."""
    project = access.get_project_for(call.user, project_id)
    services.run_round(project, wanted_by=call.user)
    return _loop(call, project)


@operations.post("projects/<int:project_id>/loop/by-hand", Scope.TRAIN)
def drive_by_hand(call: Call, project_id: int) -> LoopOut:
    """Let the open round do nothing more by itself. What runs goes on."""
    project = access.get_project_for(call.user, project_id)
    services.drive_by_hand(project)
    return _loop(call, project)


@operations.post("projects/<int:project_id>/loop/retry", Scope.TRAIN)
def retry_stage(call: Call, project_id: int) -> LoopOut:
    """Forget the run on which the open round stopped, so that its stage begins anew."""
    project = access.get_project_for(call.user, project_id)
    services.retry_stage(project)
    return _loop(call, project)


@operations.post("projects/<int:project_id>/loop/skip", Scope.TRAIN)
def skip_stage(call: Call, project_id: int) -> LoopOut:
    """Go on without what the open round waits for: judgements, a reward model, or the suite."""
    project = access.get_project_for(call.user, project_id)
    services.skip_stage(project)
    return _loop(call, project)


@operations.put("projects/<int:project_id>/automation", Scope.TRAIN)
def set_automation(call: Call, project_id: int, body: NewAutomation) -> AutomationOut:
    """Say how far the rounds of a project go by themselves. Owners and engineers can."""
    project = access.get_project_for(call.user, project_id)
    return _automation(services.set_automation(project, **body.model_dump(), changed_by=call.user))


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


def _figures(one: selectors.PastRound) -> RoundFigures:
    wins = one.result
    return RoundFigures(
        round=one.round.pk,
        number=one.round.number,
        wins=ShareOfVotes(value=wins.rate, low=wins.low, high=wins.high, n=wins.n)
        if wins
        else None,
        against_first=_share(one.against_first),
        accuracy=_share(one.accuracy),
        people=_share(one.people),
        labels=one.labels,
        votes=one.votes,
        seconds=one.seconds,
    )


def _share(found: selectors.Share | None) -> ShareOfVotes | None:
    return ShareOfVotes(**vars(found)) if found else None


def _loop(call: Call, project: Project) -> LoopOut:
    opened, driver = selectors.open_round(project), driver_of(project)
    return LoopOut(
        round=_round(opened) if opened else None,
        steps=[_step(one) for one in selectors.loop_status(project, call.user)],
        goes_on=driver.goes_on,
        driver=driver.who,
        what=driver.text,
        needs_person=driver.needs_person,
        can_retry=driver.can_retry,
        skip=driver.skip,
        automation=_automation(selectors.automation_of(project)),
    )


def _step(step: selectors.Step) -> StepOut:
    return StepOut(
        name=step.name,
        title=step.title,
        state=step.state,
        numbers=step.numbers,
        note=step.note,
        next=step.next_action.label if step.next_action else "",
        run=step.run.pk if step.run else None,
    )


def _automation(automation: Automation | None) -> AutomationOut:
    found = automation or Automation()
    return AutomationOut(
        mode=Automation.Mode(found.mode),
        new_comparisons=found.new_comparisons,
        settings_from=Automation.SettingsFrom(found.settings_from),
        by=str(automation.changed_by) if automation else "",
    )
