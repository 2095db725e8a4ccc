"""What is asked next, what asking it saves, and asking again after the guidelines changed."""

from __future__ import annotations

from datetime import datetime
from math import isfinite
from typing import Annotated

from django.http import Http404
from pydantic import Field

from annotations import access, selectors, services
from annotations.api.operations import DIGITS, Answer, Body, Call, Operations, Query
from annotations.models import GuidelineVersion, Kind, Project, Role, Scope
from annotations.selectors.asking import asking
from annotations.services.reask import MOST_ASKED

operations = Operations("What is asked")

Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
MOST_SHOWN = 100


class Interval(Answer):
    """A figure with its 95 % interval."""

    value: float | None
    low: float
    high: float | None = Field(description="Null: it has no end.")


class OpenItems(Answer):
    """Open items of a kind, counted up to 2,000."""

    kind: Kind
    chosen: int = Field(description="Of known worth: asked by what an answer tells.")
    at_random: int
    unweighed: int


class ArmOut(Answer):
    """What the answers of one arm told, in bits."""

    name: str
    answers: int
    items: int
    expected: float | None = Field(description="An answer, as reckoned before.")
    told: Interval | None
    told_a_minute: Interval | None


class AimOut(Answer):
    """What choosing told of one thing that is to be learned, beside chance."""

    title: str
    arms: list[ArmOut]
    labels_worth: Interval | None = Field(
        description="How many answers at random would have told as much as the chosen ones."
    )
    hours_worth: Interval | None
    verdict: str = Field(description="`saves`, `costs`, or nothing where it may be chance.")
    missing: str = Field(description="Why the arms can't be compared yet, or nothing.")


class AskingOut(Answer):
    """What is asked next in a project."""

    random_percent: int
    handed_out: dict[str, int] = Field(description="By arm.")
    open: list[OpenItems]
    aims: list[AimOut]
    why_nothing: str = Field(description="Why nothing is chosen, or nothing.")


class ArmFound(Answer):
    """What came back of one arm."""

    name: str
    asked: int
    flipped: int
    answered: int


class ReaskOut(Answer):
    """Comparisons that were asked again, and how many came out otherwise."""

    id: int
    since: int = Field(description="The version of the guidelines.")
    version: int = Field(description="The version that was in force then.")
    clauses: list[str]
    candidates: int
    arms: list[ArmFound]
    difference: Interval | None
    created_at: datetime


class ScoredOut(Answer):
    """A comparison that may come out otherwise."""

    item: int
    score: float
    is_divided: bool = Field(description="People said different things of it.")


class ProspectOut(Answer):
    """What could be asked again, the likeliest to come out otherwise first."""

    since: int
    version: int
    clauses: list[str] = Field(description="New or changed since.")
    candidates: int
    useful: int = Field(description="Of which anything speaks for asking again.")
    nobody_left: int = Field(description="That every active member has judged already.")
    first: list[ScoredOut] = Field(description="The first 100.")


class Reasks(Answer):
    """Every act of asking again, the newest first."""

    reasks: list[ReaskOut]


class Since(Query):
    """Since which version of the guidelines for comparisons."""

    since: Annotated[int, Field(ge=1, le=2**31 - 1), DIGITS]


class NewReask(Body):
    """Which answers are asked again, and how many."""

    since: Version = Field(description="What was compared by this version, or an older one.")
    count: Annotated[int, Field(ge=1, le=MOST_ASKED)] = Field(
        description="A tenth as many at random are asked beside them."
    )


@operations.get("projects/<int:project_id>/asking")
def get_asking(call: Call, project_id: int) -> AskingOut:
    """Show what is asked next and what choosing it has saved. Owners and engineers can."""
    project = access.get_project_for(call.user, project_id, *access.READING)
    found = asking(project)
    return AskingOut(
        random_percent=found.percent,
        handed_out=found.handed_out,
        open=[
            OpenItems(
                kind=Kind(one.kind),
                chosen=one.chosen,
                at_random=one.at_random,
                unweighed=one.unweighed,
            )
            for one in found.open
        ],
        aims=[
            AimOut(
                title=aim.title,
                arms=[
                    ArmOut(
                        name=str(line.name),
                        answers=line.report.answers,
                        items=line.report.items,
                        expected=line.expected,
                        told=_interval(line.told),
                        told_a_minute=_interval(line.told_a_minute),
                    )
                    for line in aim.lines
                ],
                labels_worth=_interval(aim.labels_worth),
                hours_worth=_interval(aim.hours_worth),
                verdict=aim.verdict,
                missing=aim.found.missing,
            )
            for aim in found.aims
        ],
        why_nothing=found.reason,
    )


@operations.get("projects/<int:project_id>/reasks")
def list_reasks(call: Call, project_id: int) -> Reasks:
    """List what was asked again after the guidelines changed, and what it found. Owners can."""
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    return Reasks(reasks=[_reask(one) for one in selectors.reask_results(project)])


@operations.get("projects/<int:project_id>/reasks/prospect")
def get_prospect(call: Call, project_id: int, query: Since) -> ProspectOut:
    """Show what could be asked again of what was compared by older guidelines. Owners can."""
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    since, now = _versions(project, query.since)
    found = selectors.prospect(project, since, now)
    return ProspectOut(
        since=since.version,
        version=now.version,
        clauses=[clause.title for clause in found.changed],
        candidates=len(found.scored),
        useful=found.useful,
        nobody_left=found.nobody_left,
        first=[
            ScoredOut(item=one.item, score=one.score, is_divided=one.divided)
            for one in found.scored[:MOST_SHOWN]
        ],
    )


@operations.post("projects/<int:project_id>/reasks", Scope.WRITE, status=201)
def ask_comparisons_again(call: Call, project_id: int, body: NewReask) -> ReaskOut:
    """Ask comparisons again that new guidelines may turn round, ahead of the ordinary work.

    Owners of the project can.
    """
    project = access.get_project_for(call.user, project_id, Role.OWNER)
    since, _ = _versions(project, body.since)
    made = services.ask_comparisons_again(project, since, body.count, call.user)
    found = (one for one in selectors.reask_results(project) if one.reask == made)
    return _reask(next(found))


def _versions(project: Project, number: int) -> tuple[GuidelineVersion, GuidelineVersion]:
    """Return the version with a number, and the one in force."""
    versions = list(selectors.guideline_history(project, Kind.COMPARISON))
    since = next((one for one in versions if one.version == number), None)
    if since is None:
        raise Http404("There is no such version of the guidelines for comparisons.")
    return since, versions[0]


def _reask(found: selectors.ReaskResult) -> ReaskOut:
    reask = found.reask
    return ReaskOut(
        id=reask.pk,
        since=reask.since.version,
        version=reask.version.version,
        clauses=reask.clauses,
        candidates=reask.candidates,
        arms=[
            ArmFound(name=one.name, asked=one.asked, flipped=one.flips.count, answered=one.flips.n)
            for one in found.arms
        ],
        difference=_interval(found.difference),
        created_at=reask.created_at,
    )


def _interval(found: tuple[float, float, float] | None) -> Interval | None:
    if found is None:
        return None
    value, low, high = (one if isfinite(one) else None for one in found)
    return Interval(value=value, low=low or 0.0, high=high)
