"""Servers elsewhere as partners of a chat and as fighters in the arena."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotations import exports
from annotations.models import Battle, Project, User
from annotations.tests.factories import make_prompt
from training import selectors, services
from training.models import Chat, Checkpoint
from training.streaming import Failed
from training.tests import scripted_door, scripted_streaming
from training.tests.factories import make_checkpoint
from training.tests.scripted_door import Door

SENTENCE = "llama refused the key (401). Enter another one."


@pytest.fixture
def llama(project: Project, eve: User, settings: Any) -> Checkpoint:
    settings.ALLOWED_PRIVATE_ENDPOINTS = ["127.0.0.1"]
    server = services.Server("http://127.0.0.1:1/v1", "basalt-9", 5)
    return services.add_endpoint(project, "llama", server, key="", created_by=eve).checkpoint


@pytest.fixture
def policy(project: Project) -> Checkpoint:
    return make_checkpoint(project, name="granite-1")


@pytest.fixture
def engineer(client: Client, eve: User) -> Client:
    client.force_login(eve)
    return client


def url(name: str, *args: int) -> str:
    return reverse(f"training:{name}", args=args)


def open_arena(project: Project, *fighters: Checkpoint) -> None:
    services.set_arena(
        project,
        is_open=True,
        daily_limit=9,
        learns_from_arena=False,
        checkpoints=fighters,
        changed_by=project.created_by,
    )


def fight(client: Client, project: Project) -> Battle:
    """Ask without scripts, so that both answers have ended."""
    client.post(url("arena", project.pk), {"text": "A haiku, please."})
    return Battle.objects.latest("id")


def test_it_answers_in_a_chat_beside_a_checkpoint(
    engineer: Client,
    project: Project,
    policy: Checkpoint,
    llama: Checkpoint,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = scripted_streaming.put_in_place(monkeypatch)
    address = url("new_chat", project.pk)
    page = engineer.get(f"{address}?checkpoint={llama.pk}").text
    assert f'<option value="{llama.pk}" selected>llama (external)</option>' in page
    sampling = {"temperature": 0.5, "top_p": 0.9, "max_new_tokens": 32}
    engineer.post(
        address, {"text": "A frog?", "left": policy.pk, "right": llama.pk, "seed": "", **sampling}
    )
    replies = Chat.objects.get().messages.filter(role="assistant")
    assert {(reply.checkpoint, reply.state, reply.text) for reply in replies} == {
        (policy, "done", "old pond"),
        (llama, "done", "old pond"),
    }
    assert {one.checkpoint_id for one in door.asked} == {policy.pk, llama.pk}
    door.script = [Failed(SENTENCE)]
    engineer.post(address, {"text": "A frog?", "left": llama.pk, **sampling})
    assert SENTENCE in engineer.get(url("chat", Chat.objects.latest("id").pk)).text


def test_a_chat_refuses_one_whose_address_is_allowed_no_more(
    engineer: Client, project: Project, llama: Checkpoint, settings: Any
) -> None:
    settings.ALLOWED_PRIVATE_ENDPOINTS = []
    sampling = {"temperature": 0.5, "top_p": 0.9, "max_new_tokens": 32}
    page = engineer.post(
        url("new_chat", project.pk), {"text": "A frog?", "left": llama.pk, **sampling}
    )
    assert page.status_code == 422
    assert "ALLOWED_PRIVATE_ENDPOINTS" in page.text
    assert not Chat.objects.exists()


def test_it_fights_where_somebody_chose_it_and_people_are_told_that_words_leave(
    engineer: Client, project: Project, policy: Checkpoint, llama: Checkpoint
) -> None:
    assert llama not in selectors.fighters(project)
    assert "outside this installation" not in engineer.get(url("arena", project.pk)).text
    settings_page = engineer.get(url("arena_settings", project.pk)).text
    assert "llama (external: gets the questions)" in settings_page
    chosen = {"checkpoints": [policy.pk, llama.pk], "daily_limit": 9}
    assert engineer.post(url("arena_settings", project.pk), chosen).status_code == 302
    assert "outside this installation" in engineer.get(url("arena", project.pk)).text


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    return scripted_door.install(monkeypatch)


def test_a_battle_with_it_counts_like_any_other(
    client: Client, bob: User, project: Project, policy: Checkpoint, llama: Checkpoint, door: Door
) -> None:
    open_arena(project, policy, llama)
    client.force_login(bob)
    battle = fight(client, project)
    page = client.get(url("battle", battle.pk)).text
    assert "llama" not in page
    client.post(url("vote", battle.pk), {"outcome": "left"})
    assert "llama" in client.get(url("battle", battle.pk)).text
    counted = exports.arena_counts(project.pk)
    assert [({left, right}, outcome) for left, right, outcome, _ in counted] == [
        ({policy.pk, llama.pk}, "left")
    ]


def test_where_it_fails_there_is_no_vote_and_nobody_is_named(
    client: Client, bob: User, project: Project, policy: Checkpoint, llama: Checkpoint, door: Door
) -> None:
    open_arena(project, policy, llama)
    client.force_login(bob)
    door.ends = {llama.pk: Failed(SENTENCE)}
    battle = fight(client, project)
    page = client.get(url("battle", battle.pk)).text
    assert (battle.state, battle.marks) == ("failed", ["failed"])
    assert "An answer did not come" in page
    assert "llama" not in page
    assert list(exports.arena_counts(project.pk)) == []


def test_an_answer_that_tells_its_model_is_marked(
    client: Client, bob: User, project: Project, policy: Checkpoint, llama: Checkpoint, door: Door
) -> None:
    open_arena(project, policy, llama)
    client.force_login(bob)
    door.texts = {llama.pk: "I am basalt-9 and write poems."}
    assert fight(client, project).marks == ["names_model"]


def test_a_policy_is_held_against_it_from_the_policys_own_page(
    engineer: Client, project: Project, policy: Checkpoint, llama: Checkpoint
) -> None:
    make_prompt(project, text="Stone", split="test")
    assert f'<option value="{llama.pk}">llama</option>' in (
        engineer.get(url("checkpoint", policy.pk)).text
    )
    chosen = {"rival": llama.pk, "split": "test", "limit": ""}
    response = engineer.post(url("start_evaluation", policy.pk), chosen)
    assert response.status_code == 302, response.text
    evaluation = project.evaluations.get()
    assert (evaluation.child, evaluation.parent) == (policy, llama)
