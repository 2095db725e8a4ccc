"""Programs have battles as people do, blind until the vote, and read the board of what was said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery import current_app
from django.core.cache import cache
from django.test import Client

from annotations.models import Battle, Project, Ticket, User
from annotations.tests.test_api import Program, problem_of
from training import services, streaming
from training.models import Checkpoint
from training.streaming import Failed
from training.tests import scripted_door
from training.tests.battles import cast_votes, make_players
from training.tests.factories import make_checkpoint
from training.tests.scripted_door import Door

pytestmark = pytest.mark.django_db

SECRETS = ("granite-1", "basalt-2")


@pytest.fixture(autouse=True)
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    return scripted_door.install(monkeypatch)


@pytest.fixture
def pair(project: Project) -> list[Checkpoint]:
    return [make_checkpoint(project, name=name) for name in SECRETS]


@pytest.fixture
def reviewer(project: Project, carol: User, pair: list[Checkpoint]) -> Program:
    """A program of somebody who may ask where the arena is open, and trains nothing."""
    services.set_arena(
        project,
        is_open=True,
        daily_limit=50,
        learns_from_arena=False,
        checkpoints=pair,
        changed_by=project.created_by,
    )
    return Program(carol, project)


def ask(program: Program, project: Project, text: str = "A haiku, please.") -> dict[str, Any]:
    asked = program.post(f"projects/{project.pk}/battles", {"text": text})
    assert asked.status_code == 201, asked.content
    found: dict[str, Any] = asked.json()
    return found


def test_nothing_tells_who_writes_until_the_vote(
    reviewer: Program, project: Project, pair: list[Checkpoint]
) -> None:
    battle = ask(reviewer, project)
    path = f"battles/{battle['id']}"
    written = reviewer.ask("PUT", f"{path}/answers")
    listed = reviewer.get(f"projects/{project.pk}/battles")
    for before in (written, listed, reviewer.get(path)):
        assert before.status_code == 200
        assert not [secret for secret in SECRETS if secret in before.content.decode()]
        assert not {one.pk for one in pair} & set(numbers_in(before.json()))
    assert all(one["text"] for one in written.json()["answers"])
    revealed = reviewer.post(f"{path}/vote", {"outcome": "right"}).json()
    assert {one["name"] for one in revealed["answers"]} == set(SECRETS)
    assert (revealed["outcome"], revealed["goes_on"]) == ("right", True)
    again = reviewer.post(f"{path}/vote", {"outcome": "left"}).json()
    assert again["outcome"] == "right"
    following = reviewer.post(f"{path}/messages", {"text": "Another?"}).json()
    assert [one["role"] for one in following["messages"]] == ["user", "assistant", "user"]
    assert following["previous"] == battle["id"]
    kept = reviewer.ask("DELETE", f"{path}/vote")
    assert "gone on since" in problem_of(kept, 409, "not-possible")["detail"]


def test_nor_does_any_list_to_a_voter_who_may_read_those(
    project: Project, pair: list[Checkpoint], eve: User, alice: User, client: Client
) -> None:
    engineer, owner = Program(eve, project), Program(alice, project)
    path = f"battles/{ask(engineer, project)['id']}"
    engineer.ask("PUT", f"{path}/answers")
    engineer.post(f"{path}/report", {"letter": "A", "reason": "false"})
    ticket, lists = Ticket.objects.get(), f"projects/{project.pk}"
    client.force_login(eve)
    pages = [f"/tickets/{ticket.pk}/", f"/projects/{project.pk}/tickets/"]

    def seen(program: Program) -> list[Any]:
        told = program.get(f"{lists}/completions").json()["items"]
        found = program.get(f"{lists}/tickets").json()["items"]
        one = program.get(f"completions/{ticket.completion_id}").status_code
        return [len(told), one, found[0]["checkpoint"], program.get(f"tickets/{ticket.pk}").json()]

    assert seen(engineer)[:3] == [0, 404, None]
    assert seen(engineer)[3]["checkpoint"] is None
    number = ticket.completion.checkpoint_id
    assert engineer.get(f"{lists}/tickets?checkpoint={number}").json()["items"] == []
    for page in pages:
        text = client.get(page).content.decode()
        assert not [secret for secret in SECRETS if secret in text]
    assert seen(owner)[:3] == [2, 200, number]
    engineer.post(f"{path}/vote", {"outcome": "tie"})
    assert seen(engineer) == seen(owner)
    assert all(f"{ticket.completion.checkpoint}" in client.get(page).text for page in pages)


def numbers_in(value: Any) -> list[int]:
    """Return every number in an answer but those that say nothing of a checkpoint."""
    if isinstance(value, dict):
        known = {"id", "project", "seconds_to_take_back", "previous"}
        return [n for name, one in value.items() if name not in known for n in numbers_in(one)]
    if isinstance(value, list):
        return [n for one in value for n in numbers_in(one)]
    return [value] if type(value) is int else []


def test_a_vote_is_taken_back_and_the_names_with_it(reviewer: Program, project: Project) -> None:
    path = f"battles/{ask(reviewer, project)['id']}"
    reviewer.ask("PUT", f"{path}/answers")
    reviewer.post(f"{path}/vote", {"outcome": "tie"})
    assert reviewer.ask("DELETE", f"{path}/vote").status_code == 204
    shown = reviewer.get(path)
    assert shown.json()["outcome"] is None
    assert not [secret for secret in SECRETS if secret in shown.content.decode()]


def test_labellers_ask_on_the_page_and_not_with_programs(
    reviewer: Program, project: Project, bob: User, eve: User
) -> None:
    """A program that writes as the models do would be at hand."""
    labeller = Program(bob, project)
    path = f"projects/{project.pk}/battles"
    problem_of(labeller.post(path, {"text": "Hm?"}), 404, "not-found")
    problem_of(labeller.get(path), 404, "not-found")
    battle = f"battles/{ask(reviewer, project)['id']}"
    for other in (labeller, Program(eve, project)):
        problem_of(other.get(battle), 404, "not-found")
        problem_of(other.post(f"{battle}/vote", {"outcome": "tie"}), 404, "not-found")
    without = Program(eve, project, scopes=("read", "label", "write", "train"))
    problem_of(without.post(path, {"text": "Hm?"}), 403, "missing-scope")


def test_who_waited_for_answers_long_enough_asks_again_for_the_same(
    reviewer: Program, project: Project, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "WAITED_FOR_S", 0)
    path = f"battles/{ask(reviewer, project)['id']}/answers"
    early = reviewer.ask("PUT", path)
    assert (early.status_code, early["Retry-After"]) == (202, "2")
    assert [one["text"] for one in early.json()["answers"]] == [None, None]
    monkeypatch.setattr(services, "WAITED_FOR_S", 20)
    written = reviewer.ask("PUT", path)
    assert (written.status_code, written.json()["state"]) == (200, "answered")
    assert (len(door.begun), door.stopped) == (2, [])


def test_it_says_what_to_do_where_no_answer_comes(
    reviewer: Program, project: Project, door: Door, pair: list[Checkpoint]
) -> None:
    path = f"battles/{ask(reviewer, project)['id']}/answers"
    door.refusal = streaming.Busy("Too many wait. Ask again in a minute.")
    busy = reviewer.ask("PUT", path)
    assert "in a minute" in problem_of(busy, 409, "not-possible")["detail"]
    door.refusal = None
    door.ends = {one.pk: Failed("It broke off. Ask again.") for one in pair}
    failed = reviewer.ask("PUT", path).json()
    assert (failed["state"], failed["error"]) == ("failed", "It broke off. Ask again.")


def test_an_answer_is_praised_and_reported_by_its_letter(
    reviewer: Program, project: Project
) -> None:
    path = f"battles/{ask(reviewer, project)['id']}"
    early = reviewer.post(f"{path}/report", {"letter": "A", "reason": "harmful"})
    problem_of(early, 409, "not-possible")
    reviewer.ask("PUT", f"{path}/answers")
    assert reviewer.post(f"{path}/report", {"letter": "B", "reason": "false"}).status_code == 204
    assert Ticket.objects.get().completion == Battle.objects.get().right
    reviewer.post(f"{path}/vote", {"outcome": "left"})
    praised = reviewer.post(f"{path}/praise", {"letter": "A", "is_good": True}).json()
    assert [one["is_praised"] for one in praised["answers"]] == [True, False]


def test_engineers_set_who_fights(project: Project, eve: User, pair: list[Checkpoint]) -> None:
    engineer, path = Program(eve, project), f"projects/{project.pk}/arena"
    numbers = [one.pk for one in pair]
    wanted = {"is_open": True, "daily_limit": 3, "learns_from_arena": True}
    alone = engineer.ask("PUT", path, wanted | {"checkpoints": numbers[:1]})
    assert "two to fight" in problem_of(alone, 409, "not-possible")["detail"]
    nobody = engineer.ask("PUT", path, wanted | {"checkpoints": [*numbers, 2**40]})
    assert str(2**40) in problem_of(nobody, 409, "not-possible")["detail"]
    kept = engineer.ask("PUT", path, wanted | {"checkpoints": numbers}).json()
    assert kept == engineer.get(path).json()
    assert (set(kept["fighters"]), kept["daily_limit"]) == (set(numbers), 3)


@pytest.fixture
def fought(project: Project, bob: User, bea: User) -> list[Checkpoint]:
    one, two = players = make_players(project, "one", "two")
    for voter in (bob, bea):
        cast_votes(
            project, [(one.pk, two.pk, "left", voter)] * 3 + [(two.pk, one.pk, "tie", voter)]
        )
    cast_votes(project, [(two.pk, one.pk, "left", bob)], tags=("frogs",))
    return players


def test_a_program_reads_the_board_its_matrix_and_its_votes(
    project: Project, carol: User, bob: User, fought: list[Checkpoint]
) -> None:
    reviewer, path = Program(carol, project), f"projects/{project.pk}/leaderboard"
    _, two = fought
    board = reviewer.get(path).json()
    assert [line["checkpoint"] for line in board["lines"]] == ["one", "two"]
    assert (board["lines"][0]["wins"], board["won"]) == (6, [[0.0, 7.0], [2.0, 0.0]])
    assert board["lines"][0]["low"] < board["lines"][0]["rating"] < board["lines"][0]["high"]
    more = reviewer.get(f"{path}?style=true&bootstrap=true&ladders=true&anchor={two.pk}").json()
    assert [style["style"] for style in more["styles"]] == ["length", "lists"]
    assert more["anchor"] == two.pk
    assert set(more["lines"][0]["ladders"]) >= {"PageRank", "Mean win rate"}
    assert more["lines"][1]["rating"] == 1000
    assert reviewer.get(f"{path}?tag=frogs").json()["votes"] == 1
    rows = b"".join(reviewer.get(f"{path}/votes").streaming_content).decode().splitlines()
    assert len(rows) == board["votes"] == 9
    assert json.loads(rows[0])["annotator"] == f"annotator-{bob.pk}"
    table = reviewer.get(f"{path}/votes?form=csv")
    assert table["Content-Type"] == "text/csv"
    assert b"".join(table.streaming_content).startswith(b"annotation_id,")


def test_a_board_that_is_being_read_is_asked_for_again(
    project: Project, carol: User, fought: list[Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.clear()
    monkeypatch.setattr("training.selectors.board.SLOW_FROM", 3)
    monkeypatch.setattr(current_app.conf, "broker_url", "memory://")
    reviewer, path = Program(carol, project), f"projects/{project.pk}/leaderboard"
    early = reviewer.get(path)
    assert (early.status_code, early["Retry-After"]) == (202, "5")
    assert (early.json()["is_read"], early.json()["lines"]) == (False, [])
    here = reviewer.get(f"{path}?here=true")
    assert (here.status_code, len(here.json()["lines"])) == (200, 2)
    assert reviewer.get(path).status_code == 200
