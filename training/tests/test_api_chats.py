"""Programs talk with checkpoints in the chats of the page, and have replies written."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from annotations.models import Project, Ticket, User
from annotations.tests.test_api import Program, problem_of
from training import services, streaming
from training.models import ChatMessage, Praise
from training.streaming import Done, Heartbeat, Token
from training.tests.factories import make_checkpoint
from training.tests.scripted_streaming import USAGE, ScriptedDoor, put_in_place

pytestmark = pytest.mark.django_db


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> ScriptedDoor:
    return put_in_place(monkeypatch)


@pytest.fixture
def engineer(project: Project, eve: User) -> Program:
    return Program(eve, project)


@pytest.fixture
def reply(engineer: Program, project: Project) -> ChatMessage:
    """Return a reply that waits for somebody to ask for it."""
    left = make_checkpoint(project).pk
    begun = engineer.post(f"projects/{project.pk}/chats", {"text": "A frog?", "left": left}).json()
    return ChatMessage.objects.get(id=begun["turns"][0]["replies"][0]["id"])


def nothing_more_after(*events: Any) -> list[Any]:
    """Return a script of a worker that never ends its answer."""
    return [*events, *itertools.repeat(Heartbeat(), 1000)]


def test_a_program_says_something_and_has_the_replies_written(
    engineer: Program, project: Project, door: ScriptedDoor
) -> None:
    left, reward = make_checkpoint(project), make_checkpoint(project, kind="reward")
    path = f"projects/{project.pk}/chats"
    refused = engineer.post(path, {"text": "A frog?", "left": reward.pk})
    assert "Choose a policy" in problem_of(refused, 409, "not-possible")["detail"]
    begun = engineer.post(path, {"text": "A frog?", "left": left.pk, "seed": 11}).json()
    [turn] = begun["turns"]
    assert (turn["message"], turn["replies"][0]["state"], door.asked) == ("A frog?", "waiting", [])
    messages = f"chats/{begun['id']}/messages"
    early = engineer.post(messages, {"turn": 1, "text": "And a toad?"})
    assert "still being answered" in problem_of(early, 409, "not-possible")["detail"]
    reply = f"replies/{turn['replies'][0]['id']}"
    for _ in range(2):
        written = engineer.ask("PUT", reply).json()
        assert (written["text"], written["state"], written["seed"]) == ("old pond", "done", 11)
    gone_on = engineer.post(messages, {"turn": 1, "text": "And a toad?"}).json()
    second = gone_on["turns"][1]["replies"][0]["id"]
    assert engineer.post(f"replies/{second}/stop").json()["state"] == "stopped"
    assert [one.seed for one in door.asked] == [11]
    assert ChatMessage.objects.get(id=second).sampling == written["sampling"]
    assert engineer.get(path).json()["items"][0]["title"] == "A frog?"


def asked(engineer: Program, reply: ChatMessage, status: int) -> dict[str, Any]:
    response = engineer.ask("PUT", f"replies/{reply.pk}")
    assert response.status_code == status
    assert ("Retry-After" in response) == (status == 202)
    found: dict[str, Any] = response.json()
    return found


def test_a_worker_that_never_answers_holds_a_request_for_so_long_only(
    engineer: Program, reply: ChatMessage, door: ScriptedDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.script = nothing_more_after(Token("old "))
    with monkeypatch.context() as patched:
        patched.setattr(services, "WAITED_FOR_S", 0)
        found = asked(engineer, reply, 202)
    assert (found["state"], found["text"], door.stopped) == ("waiting", "old ", [])
    assert door.left == ["generation-1"]  # it is written on meanwhile
    door.script = [Token("old "), Token("pond"), Done("stop", USAGE, 7)]
    found = asked(engineer, reply, 200)
    assert (found["state"], found["text"], len(door.asked)) == ("done", "old pond", 1)


def test_what_nobody_comes_back_for_is_stopped_with_what_came_of_it(
    engineer: Program, reply: ChatMessage, door: ScriptedDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "WAITED_FOR_S", 0)
    door.script = nothing_more_after(Token("old "))
    asked(engineer, reply, 202)
    long_ago = timezone.now() - timedelta(minutes=1)
    ChatMessage.objects.filter(id=reply.pk).update(seen_at=long_ago)
    found = asked(engineer, reply, 200)
    assert (found["state"], found["text"], len(door.asked)) == ("stopped", "old ", 1)
    asked_on = engineer.post(f"chats/{reply.chat_id}/messages", {"turn": 1, "text": "A toad?"})
    assert asked_on.status_code == 201


def test_one_that_is_left_can_be_stopped(
    engineer: Program, reply: ChatMessage, door: ScriptedDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "WAITED_FOR_S", 0)
    door.script = nothing_more_after(Token("old "))
    asked(engineer, reply, 202)
    assert engineer.post(f"replies/{reply.pk}/stop").json()["state"] == "stopped"
    assert door.stopped == ["generation-1"]


def test_who_looks_on_waits_no_longer_and_holds_no_thread_that_is_wanted(
    engineer: Program, reply: ChatMessage, door: ScriptedDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ChatMessage.objects.filter(id=reply.pk).update(state="writing", seen_at=timezone.now())
    with monkeypatch.context() as patched:
        patched.setattr(services, "WAITED_FOR_S", 0)
        assert asked(engineer, reply, 202)["state"] == "writing"
    monkeypatch.setattr(streaming, "MOST_READERS", 0)
    assert asked(engineer, reply, 202)["state"] == "writing"


def test_one_for_whom_there_is_no_room_is_told_when_to_ask_again(
    engineer: Program, reply: ChatMessage, door: ScriptedDoor
) -> None:
    door.refusal = streaming.Busy(4)
    assert asked(engineer, reply, 202)["state"] == "waiting"
    ChatMessage.objects.filter(id=reply.pk, seen_at=None).get()
    door.refusal = None
    assert asked(engineer, reply, 200)["state"] == "done"


def test_a_program_says_otherwise_asks_again_and_says_what_is_good_and_bad(
    engineer: Program, reply: ChatMessage, door: ScriptedDoor
) -> None:
    path = f"replies/{reply.pk}"
    early = engineer.post(f"{path}/praise", {"is_good": True})
    assert "Wait for its end" in problem_of(early, 409, "not-possible")["detail"]
    engineer.ask("PUT", path)
    for is_good in (True, False, True):
        praised = engineer.post(f"{path}/praise", {"is_good": is_good}).json()
        assert praised["is_praised"] is is_good
    assert engineer.post(f"{path}/report", {"reason": "repeats"}).status_code == 204
    assert Ticket.objects.get().completion.text == "old pond"
    assert not Praise.objects.exists()
    [turn] = engineer.post(f"{path}/again").json()["turns"]
    [second] = turn["replies"]
    assert (second["id"] != reply.pk, second["state"]) == (True, "waiting")
    engineer.post(f"replies/{second['id']}/stop")
    said = {"turn": 0, "text": "A toad?"}
    [turn] = engineer.ask("PUT", f"chats/{reply.chat_id}/messages", said).json()["turns"]
    assert (turn["message"], turn["replies"][0]["state"]) == ("A toad?", "waiting")
