"""Thumbs under answers, in chats and in the arena: praise, and reports that betray nobody."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotations.models import Battle, Project, Ticket, TicketReport, User
from training import services
from training.models import Chat, ChatMessage, Checkpoint, Praise
from training.tests import scripted_door
from training.tests.factories import make_checkpoint

SCRIPT = {"HX-Request": "true"}
GOOD, NO_MORE = {"good": "yes"}, {"good": "no"}


def url(name: str, *args: int) -> str:
    return reverse(f"training:{name}", args=args)


@pytest.fixture
def policy(project: Project) -> Checkpoint:
    return make_checkpoint(project, name="granite-1")


@pytest.fixture
def reply(project: Project, policy: Checkpoint, eve: User) -> ChatMessage:
    sampling = {"temperature": 1.0, "top_p": 1.0, "max_new_tokens": 16}
    chat = Chat.objects.create(project=project, person=eve, left=policy, **sampling)
    chat.messages.create(turn=0, role="user", text="A frog?")
    return ChatMessage.objects.create(
        chat=chat, turn=0, role="assistant", side="left", checkpoint=policy, text="Splash"
    )


@pytest.fixture
def battle(
    client: Client,
    bob: User,
    project: Project,
    policy: Checkpoint,
    monkeypatch: pytest.MonkeyPatch,
) -> Battle:
    """A battle of bob's, a labeller's, with both answers there."""
    scripted_door.install(monkeypatch)
    services.set_arena(
        project,
        is_open=True,
        daily_limit=9,
        learns_from_arena=False,
        checkpoints=[policy, make_checkpoint(project, name="basalt-2")],
        changed_by=project.created_by,
    )
    client.force_login(bob)
    client.post(url("arena", project.pk), {"text": "A haiku, please."})
    return Battle.objects.get()


def vote(client: Client, battle: Battle) -> str:
    data = {"outcome": "left"}
    return str(client.post(url("vote", battle.pk), data, headers=SCRIPT).text)


def pressed(page: str) -> list[bool]:
    return [part.startswith('"true"') for part in page.split("aria-pressed=")[1:]]


def test_a_reply_is_praised_once_and_no_more_when_that_is_taken_back(
    client: Client, eve: User, reply: ChatMessage, policy: Checkpoint
) -> None:
    client.force_login(eve)
    address, chat = url("praise_reply", reply.pk), url("chat", reply.chat_id)
    assert pressed(client.get(chat).text) == [False]
    for _ in range(2):
        assert pressed(client.post(address, GOOD, headers=SCRIPT).text) == [True]
    assert Praise.objects.count() == 1
    assert pressed(client.get(chat).text) == [True]
    assert "praised 1 time." in client.get(url("checkpoint", policy.pk)).text
    assert pressed(client.post(address, NO_MORE, headers=SCRIPT).text) == [False]
    assert client.post(address, GOOD).status_code == 302
    assert Praise.objects.count() == 1


def test_a_report_takes_the_praise_back_and_both_are_counted(
    client: Client, eve: User, reply: ChatMessage, policy: Checkpoint
) -> None:
    client.force_login(eve)
    client.post(url("praise_reply", reply.pk), GOOD)
    told = client.post(url("report_reply", reply.pk), {"reason": "repeats"}, headers=SCRIPT)
    assert "Reported" in told.text
    assert pressed(told.text) == [False]
    assert not Praise.objects.exists()
    assert "1 answer of it was reported" in client.get(url("checkpoint", policy.pk)).text


def test_a_reply_that_still_comes_is_not_praised(
    client: Client, eve: User, reply: ChatMessage
) -> None:
    ChatMessage.objects.update(state="writing")
    client.force_login(eve)
    response = client.post(url("praise_reply", reply.pk), GOOD, headers=SCRIPT)
    assert response.status_code == 422
    assert "Wait for its end." in response.text
    assert not Praise.objects.exists()


def test_an_answer_is_reported_before_the_vote_and_nothing_tells_whose_it_is(
    client: Client, battle: Battle, bob: User
) -> None:
    page = client.get(url("battle", battle.pk)).text
    address = url("report_in_battle", battle.pk)
    assert address in page
    assert "aria-pressed" not in page
    refused = client.post(address, {"position": "3", "reason": "false"}, headers=SCRIPT)
    assert refused.status_code == 422
    assert "Choose one of the two answers" in refused.text
    sent = {"position": "2", "reason": "false", "words": "<b>not so</b>"}
    told = client.post(address, sent, headers=SCRIPT)
    assert "Reported" in told.text
    for secret in ("granite", "basalt"):
        assert secret not in told.text
        assert secret not in client.get(url("battle", battle.pk)).text
    report = TicketReport.objects.get()
    assert (report.ticket.completion_id, report.reporter, report.source) == (
        battle.right_id,
        bob,
        "arena",
    )
    assert "granite" in vote(client, battle)


def test_an_answer_is_praised_and_reported_once_its_name_is_known(
    client: Client, battle: Battle, policy: Checkpoint, bob: User, eve: User
) -> None:
    assert pressed(vote(client, battle)) == [False, False]
    address = url("praise_in_battle", battle.pk)
    told = client.post(address, {"position": "2", **GOOD}, headers=SCRIPT)
    assert 'id="thumbs-B"' in told.text
    assert pressed(client.get(url("battle", battle.pk)).text) == [False, True]
    assert Praise.objects.get().completion_id == battle.right_id
    sent = {"position": "2", "reason": "other"}
    told = client.post(url("report_in_battle", battle.pk), sent, headers=SCRIPT)
    assert 'id="thumbs-B"' in told.text
    assert pressed(told.text) == [False]
    assert Ticket.objects.get().completion_id == battle.right_id
    client.post(address, {"position": "1", **GOOD})
    client.post(address, {"position": "1", **NO_MORE})
    assert not Praise.objects.exists()


@pytest.mark.parametrize("name", ["praise_in_battle", "report_in_battle"])
def test_only_whose_battle_it_is_judges_its_answers(
    client: Client, battle: Battle, eve: User, charlie: User, name: str
) -> None:
    sent: dict[str, Any] = {"position": "1", "reason": "other", **GOOD}
    assert client.get(url(name, battle.pk)).status_code == 405
    for user in (eve, charlie):
        client.force_login(user)
        assert client.post(url(name, battle.pk), sent).status_code == 404
    assert not Praise.objects.exists()
    assert not Ticket.objects.exists()


def test_only_whose_chat_it_is_praises_its_replies(
    client: Client, reply: ChatMessage, eve: User, alice: User, bob: User
) -> None:
    for user in (alice, bob):
        client.force_login(user)
        assert client.post(url("praise_reply", reply.pk), GOOD).status_code == 404
    client.force_login(eve)
    assert client.get(url("praise_reply", reply.pk)).status_code == 405
    assert not Praise.objects.exists()
