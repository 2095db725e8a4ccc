"""Battles: ask anything, read two anonymous answers, vote, and see who wrote them.

What is answered before the vote is the same whoever writes.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal, cast

from pydantic import Field, StringConstraints

from annotations import access as collecting_access
from annotations import services as collecting
from annotations.algorithms.text import MAX_PROMPT_CHARS
from annotations.api.operations import LARGEST_ID, Answer, Body, Call, Operations, Scope
from annotations.api.pages import Page, Paged, page_of
from annotations.api.prompts import MessageOut, messages_out
from annotations.api.tickets import Report
from training import access, selectors, services
from training.services.arena import MOST_A_DAY, MOST_FIGHTERS, Problem

if TYPE_CHECKING:
    from annotations.models import Battle, Project

operations = Operations("Arena", refusals=(services.ServiceError,))

AGAIN_S = 2
"""After so long answers that are still being written are worth asking for again."""

Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
Letter = Literal["A", "B"]
State = Literal["writing", "answered", "failed"]
Outcome = Literal["left", "right", "tie", "both_bad"]
Question = Annotated[str, StringConstraints(min_length=1, max_length=MAX_PROMPT_CHARS)]


class BattleLine(Answer):
    """A question that the owner of the token asked, in a list."""

    id: int
    state: State
    question: str
    asked_at: datetime


class BattleAnswer(Answer):
    """One of two answers. Who wrote it is told after the vote."""

    letter: Letter
    text: str | None = Field(description="Null until both are written to their end.")
    checkpoint: int | None = Field(description="Null before the vote.")
    name: str | None = Field(description="What the checkpoint is called; null before the vote.")
    is_praised: bool = Field(description="By the owner of the token, as it stands after the vote.")


class BattleOut(Answer):
    """A question, two answers, and the vote."""

    id: int
    project: int
    state: State
    error: str = Field(description="Of a failed one: why, and what to do.")
    messages: list[MessageOut] = Field(description="What was said before, and last the question.")
    answers: list[BattleAnswer]
    outcome: Outcome | None = Field(description="The vote: left is A, right is B. Null before it.")
    marks: list[str] = Field(description="After the vote: why leaderboards may leave it out.")
    seconds_to_take_back: int
    goes_on: bool = Field(description="Whether there is an answer to go on with.")
    previous: int | None = Field(description="The battle with whose better answer it goes on.")
    asked_at: datetime


class Asked(Body):
    """What two checkpoints are to answer."""

    text: Question


class Vote(Body):
    """Which answer is better: left is A, right is B."""

    outcome: Outcome


class PraisedAnswer(Body):
    """Whether an answer is good; false takes that back."""

    letter: Letter
    is_good: bool


class ReportInBattle(Report):
    """Which answer it is, and what is wrong with it."""

    letter: Letter


class ArenaOut(Answer):
    """How a project's arena is set."""

    is_open: bool = Field(description="To annotators and reviewers, too.")
    daily_limit: int = Field(description="Questions that one person may ask on one day.")
    learns_from_arena: bool = Field(description="Whether votes teach.")
    checkpoints: list[int] = Field(description="Who was chosen to fight.")
    fighters: list[int] = Field(description="Who fights: the chosen, or those that it takes then.")


class ArenaSettings(Body):
    """How the arena is to be, from the next question on; all of it."""

    is_open: bool
    daily_limit: Annotated[int, Field(ge=1, le=MOST_A_DAY)]
    learns_from_arena: bool
    checkpoints: list[Id] = Field(
        max_length=MOST_FIGHTERS,
        description="Two or more; none: the promoted one, its parent and the newest policies.",
    )


@operations.get("projects/<int:project_id>/arena")
def get_arena(call: Call, project_id: int) -> ArenaOut:
    """Show who fights, who may ask, how often, and whether votes teach. Owners, engineers can."""
    return _arena(access.get_project_for(call.user, project_id))


@operations.put("projects/<int:project_id>/arena", Scope.TRAIN)
def set_arena(call: Call, project_id: int, body: ArenaSettings) -> ArenaOut:
    """Set who fights, who may ask, how often, and whether votes teach. Owners, engineers can."""
    project = access.get_project_for(call.user, project_id)
    wanted = set(body.checkpoints)
    chosen = list(selectors.possible_fighters(project).filter(id__in=wanted))
    if missing := wanted - {one.pk for one in chosen}:
        raise services.ServiceError(
            f"In this project there is no checkpoint {min(missing)} that can answer. Choose "
            "policies, base models and external endpoints of this project."
        )
    services.set_arena(
        project,
        is_open=body.is_open,
        daily_limit=body.daily_limit,
        learns_from_arena=body.learns_from_arena,
        checkpoints=chosen,
        changed_by=call.user,
    )
    return _arena(access.get_project_for(call.user, project_id))


@operations.get("projects/<int:project_id>/battles")
def list_battles(call: Call, project_id: int, query: Paged) -> Page[BattleLine]:
    """List what the owner of the token has asked in the arena of a project."""
    access.get_served_arena_for(call.user, project_id)
    return page_of(collecting_access.get_battles_for(call.user, project_id), query, _line)


@operations.post("projects/<int:project_id>/battles", Scope.MODELS, status=201)
def ask_in_arena(call: Call, project_id: int, body: Asked) -> BattleOut:
    """Ask two checkpoints that are drawn for it; their answers wait to be written.

    Programs of owners, engineers and reviewers can; annotators ask on the page.
    """
    project = access.get_served_arena_for(call.user, project_id).project
    asked = services.ask_in_arena(project, call.user, body.text)
    return _shown(access.get_served_battle_for(call.user, asked.pk))


@operations.get("battles/<int:battle_id>")
def get_battle(call: Call, battle_id: int) -> BattleOut:
    """Show a battle of the owner of the token, without who writes until the vote."""
    return _shown(access.get_served_battle_for(call.user, battle_id))


def _again_in_s(battle: BattleOut) -> int:
    """Return in how many seconds answers are worth asking for again; 0 where they have ended."""
    return AGAIN_S if battle.state == "writing" else 0


@operations.put("battles/<int:battle_id>/answers", Scope.MODELS, again_in_s=_again_in_s)
def write_answers(call: Call, battle_id: int) -> BattleOut:
    """Have both answers written, and get them once both have ended.

    After 20 seconds without that the answer is 202: ask again when `Retry-After` says. Where
    nobody does within 10 seconds both are written anew.
    """
    battle = access.get_served_battle_for(call.user, battle_id)
    for news in services.write_battle(battle, within_s=services.WAITED_FOR_S):
        if isinstance(news, Problem):
            raise services.ServiceError(news.message)
    return _shown(access.get_served_battle_for(call.user, battle_id))


@operations.post("battles/<int:battle_id>/vote", Scope.MODELS)
def vote(call: Call, battle_id: int, body: Vote) -> BattleOut:
    """Say which answer is better, and learn who wrote them. A vote that is there stays."""
    battle = access.get_served_battle_for(call.user, battle_id)
    services.vote_in_arena(battle, body.outcome)
    return _shown(access.get_served_battle_for(call.user, battle_id))


@operations.delete("battles/<int:battle_id>/vote", Scope.MODELS)
def take_back_vote(call: Call, battle_id: int) -> None:
    """Take a vote back within its time. One that is given again is marked."""
    services.take_back_arena_vote(access.get_served_battle_for(call.user, battle_id))


@operations.post("battles/<int:battle_id>/messages", Scope.MODELS, status=201)
def say_in_battle(call: Call, battle_id: int, body: Asked) -> BattleOut:
    """Go on with the better answer: another pair answers, as anonymous as the first."""
    battle = access.get_served_battle_for(call.user, battle_id)
    asked = services.ask_in_arena(battle.project, call.user, body.text, after=battle)
    return _shown(access.get_served_battle_for(call.user, asked.pk))


@operations.post("battles/<int:battle_id>/praise", Scope.MODELS)
def praise_in_battle(call: Call, battle_id: int, body: PraisedAnswer) -> BattleOut:
    """Keep that an answer is good, or take that back."""
    battle = access.get_served_battle_for(call.user, battle_id)
    position = _position(body.letter)
    services.praise_in_battle(battle, position, call.user, is_good=body.is_good)
    return _shown(battle)


@operations.post("battles/<int:battle_id>/report", Scope.MODELS)
def report_in_battle(call: Call, battle_id: int, body: ReportInBattle) -> None:
    """Report an answer, before the vote or after it: a ticket is opened about it."""
    battle = access.get_served_battle_for(call.user, battle_id)
    position = _position(body.letter)
    services.report_in_battle(battle, position, call.user, body.reason, body.words)


def _position(letter: Letter) -> str:
    return str("AB".index(letter) + 1)


def _arena(project: Project) -> ArenaOut:
    arena = selectors.arena_of(project)
    return ArenaOut(
        is_open=arena.is_open,
        daily_limit=arena.daily_limit,
        learns_from_arena=project.learns_from_arena,
        checkpoints=[one.pk for one in selectors.chosen_fighters(project)],
        fighters=[one.pk for one in selectors.fighters(project)],
    )


def _line(battle: Battle) -> BattleLine:
    return BattleLine(
        id=battle.pk,
        state=cast("State", battle.state),
        question=battle.prompt.text,
        asked_at=battle.asked_at,
    )


def _shown(battle: Battle) -> BattleOut:
    voted = collecting.vote_of(battle)
    return BattleOut(
        id=battle.pk,
        project=battle.project_id,
        state=cast("State", battle.state),
        error=battle.error,
        messages=messages_out(battle.prompt.messages),
        answers=[
            BattleAnswer(
                letter=cast("Letter", one.letter),
                text=one.text,
                checkpoint=one.checkpoint.pk if one.checkpoint else None,
                name=one.checkpoint.name if one.checkpoint else None,
                is_praised=one.is_praised,
            )
            for one in selectors.shown_answers(battle, voted.outcome if voted else "")
        ],
        outcome=cast("Outcome", voted.outcome) if voted else None,
        marks=battle.marks if voted else [],
        seconds_to_take_back=selectors.seconds_to_take_back(battle) if voted else 0,
        goes_on=collecting.liked_answer(battle) is not None,
        previous=battle.previous_id,
        asked_at=battle.asked_at,
    )
