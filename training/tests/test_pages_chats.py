"""Chats with checkpoints: what is said, what comes back, and what is kept of it."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotations.models import Project, User
from training import artifacts, services, streaming
from training.models import Chat, ChatMessage, Checkpoint, Promotion
from training.services import chats
from training.streaming import Done, Failed, Heartbeat, Token
from training.tests.factories import make_base, make_checkpoint
from training.tests.scripted_streaming import USAGE, ScriptedDoor, put_in_place
from training.views import chats as views

SCRIPTED = {"HTTP_HX_REQUEST": "true"}
STREAM = {"HTTP_ACCEPT": "text/event-stream"}


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> ScriptedDoor:
    return put_in_place(monkeypatch)


@pytest.fixture
def engineer(client: Client, eve: User) -> Client:
    client.force_login(eve)
    return client


@pytest.fixture
def policy(project: Project) -> Checkpoint:
    return make_checkpoint(project, name="sft-1")


def url(name: str, *args: int) -> str:
    return reverse(f"training:{name}", args=args)


def fields(policy: Checkpoint, text: str = "A frog?", **changes: Any) -> dict[str, Any]:
    values = {"temperature": 0.5, "top_p": 0.9, "max_new_tokens": 32, "seed": 11}
    return {"text": text, "left": policy.pk, **values, **changes}


def begin(engineer: Client, policy: Checkpoint, **changes: Any) -> Chat:
    """Begin a chat whose first replies have come."""
    engineer.post(url("new_chat", policy.project_id), fields(policy, **changes))
    return Chat.objects.latest("id")


def begin_unread(engineer: Client, policy: Checkpoint, **changes: Any) -> ChatMessage:
    """Begin a chat whose first reply nobody has read yet; return that."""
    engineer.post(url("new_chat", policy.project_id), fields(policy, **changes), **SCRIPTED)
    return ChatMessage.objects.filter(role="assistant").latest("id")


def replies(chat: Chat) -> list[ChatMessage]:
    return list(chat.messages.filter(role="assistant", is_current=True))


def text_of(response: Any) -> str:
    return str(response.content.decode())


def streamed(response: Any) -> str:
    return b"".join(response.streaming_content).decode()


def test_it_answers_with_the_chosen_checkpoint_and_keeps_how(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor
) -> None:
    chat = begin(engineer, policy)
    page = text_of(engineer.get(url("chat", chat.pk)))
    assert "old pond" in page
    assert "seed 11" in page
    [reply] = replies(chat)
    assert (reply.state, reply.tokens, reply.seed, reply.finish_reason) == ("done", 2, 11, "stop")
    assert reply.checkpoint == policy
    assert reply.sampling == {"temperature": 0.5, "top_p": 0.9, "max_new_tokens": 32}
    [asked] = door.asked
    assert asked.checkpoint_id == policy.pk
    assert asked.messages == [{"role": "user", "content": "A frog?"}]
    assert (asked.temperature, asked.top_p, asked.max_new_tokens, asked.seed) == (0.5, 0.9, 32, 11)


def test_it_streams_a_reply_token_by_token(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor
) -> None:
    reply = begin_unread(engineer, policy)
    assert reply.state == "waiting"
    page = text_of(engineer.get(url("chat", reply.chat_id)))
    assert f'data-write="{url("write_reply", reply.pk)}"' in page
    found = streamed(engineer.post(url("write_reply", reply.pk), **STREAM))
    assert 'event: place\ndata: "Number 2 in line, about 4 s"' in found
    assert 'event: token\ndata: "old "\n\nevent: token\ndata: "pond"\n\nevent: end' in found
    assert "old pond" in text_of(engineer.get(url("chat_reply", reply.pk)))


def test_a_new_chat_begins_with_the_promoted_checkpoint_and_ones_own_sampling(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor, alice: User
) -> None:
    other = make_checkpoint(policy.project, name="ppo-2")
    Promotion.objects.create(
        project=policy.project, checkpoint=policy, promoted_by=alice, reason="First."
    )
    begin(engineer, other, max_new_tokens=77)
    page = text_of(engineer.get(url("new_chat", policy.project_id)))
    assert f'<option value="{policy.pk}" selected>sft-1</option>' in page
    assert 'name="max_new_tokens" value="77"' in page
    page = text_of(engineer.get(url("new_chat", policy.project_id) + f"?checkpoint={other.pk}"))
    assert f'<option value="{other.pk}" selected>ppo-2</option>' in page


def test_it_tells_the_model_what_was_said_before(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor
) -> None:
    chat = begin(engineer, policy)
    engineer.post(url("say", chat.pk), {**fields(policy, "And then?"), "turn": 1})
    assert [message["content"] for message in door.asked[1].messages] == [
        "A frog?",
        "old pond",
        "And then?",
    ]


def test_it_leaves_out_of_a_conversation_what_nobody_answered(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor
) -> None:
    door.refusal = streaming.Busy(3)
    chat = begin(engineer, policy)
    door.refusal = None
    engineer.post(url("say", chat.pk), {**fields(policy, "And now?"), "turn": 1})
    assert [message["content"] for message in door.asked[0].messages] == ["And now?"]


def test_two_checkpoints_answer_side_by_side_each_with_its_own_words(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor
) -> None:
    other = make_checkpoint(policy.project, name="ppo-2")
    chat = begin(engineer, policy, right=other.pk)
    chat.messages.filter(side="right").update(text="A splash")
    turn = {**fields(policy, "And then?", right=other.pk), "turn": 1}
    engineer.post(url("say", chat.pk), turn)
    assert [one.checkpoint_id for one in door.asked] == [policy.pk, other.pk] * 2
    assert [one.messages[1]["content"] for one in door.asked[2:]] == ["old pond", "A splash"]
    assert text_of(engineer.get(url("chat", chat.pk))).count("replies--two") == 2


def test_who_joins_later_is_told_what_the_other_said(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor
) -> None:
    other = make_checkpoint(policy.project, name="ppo-2")
    chat = begin(engineer, policy)
    turn = {**fields(policy, "And then?", right=other.pk), "turn": 1}
    engineer.post(url("say", chat.pk), turn)
    assert door.asked[2].checkpoint_id == other.pk
    assert door.asked[2].messages[1]["content"] == "old pond"


def test_another_reply_has_another_seed_and_the_first_is_kept(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor
) -> None:
    chat = begin(engineer, policy)
    [first] = replies(chat)
    door.script = [Token("A splash"), Done("stop", USAGE, 7)]
    engineer.post(url("ask_again", first.pk))
    [second] = replies(chat)
    assert (second.text, second.seed) == ("A splash", 12)
    assert ChatMessage.objects.get(id=first.pk).text == "old pond"
    assert engineer.post(url("ask_again", first.pk), **SCRIPTED).status_code == 422


def test_the_last_message_is_edited_and_sent_instead(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor
) -> None:
    chat = begin(engineer, policy)
    response = engineer.post(
        url("say_differently", chat.pk), {"text": "A toad?", "turn": 0}, follow=True
    )
    log = text_of(response).partition('id="log"')[2].partition('id="say"')[0]
    assert "A toad?" in log
    assert "A frog?" not in log
    assert door.asked[1].messages == [{"role": "user", "content": "A toad?"}]
    assert door.asked[1].max_new_tokens == 32
    assert chat.messages.count() == 4


def test_it_keeps_what_was_written_when_the_reader_goes_away(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor
) -> None:
    reply = begin_unread(engineer, policy)
    stream = views._as_events(chats.write_reply(reply))
    assert next(sent for sent in stream if "old" in sent)
    stream.close()  # what a server does with the response whose reader has left
    reply.refresh_from_db()
    assert (reply.state, reply.text) == ("stopped", "old ")
    assert door.stopped == ["generation-1"]


def test_a_page_without_scripts_waits_for_so_long_and_offers_to_wait_again(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.script = [Token("old "), *[Heartbeat()] * 99]
    with monkeypatch.context() as patched:
        patched.setattr(services, "WAITED_FOR_S", 0)
        chat = begin(engineer, policy)
    page = text_of(engineer.get(url("chat", chat.pk)))
    assert "old" in page
    assert "Wait for it" in page
    assert (door.left, door.stopped) == (["generation-1"], [])


def test_stop_ends_a_reply_where_it_is(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor
) -> None:
    reply = begin_unread(engineer, policy)
    door.script.insert(2, lambda: engineer.post(url("stop_reply", reply.pk)))
    engineer.post(url("write_reply", reply.pk))
    reply.refresh_from_db()
    assert door.stopped == ["generation-1"]
    assert reply.state == "stopped"  # the door says “stop” of a stopped one as of a finished one
    engineer.post(url("stop_reply", reply.pk))
    assert ">stopped<" in text_of(engineer.get(url("chat", reply.chat_id)))


def test_stop_ends_a_reply_that_nobody_has_begun(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor
) -> None:
    reply = begin_unread(engineer, policy)
    engineer.post(url("stop_reply", reply.pk), **SCRIPTED)
    engineer.post(url("write_reply", reply.pk))
    reply.refresh_from_db()
    assert (reply.state, door.asked) == ("stopped", [])


def test_a_second_tab_looks_on(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chats, "KEEP_EVERY_S", 0)
    reply = begin_unread(engineer, policy)
    seen = []

    def look() -> None:
        news = chats.write_reply(reply)
        seen.append(next(news))
        news.close()

    door.script.insert(2, look)
    engineer.post(url("write_reply", reply.pk))
    assert seen == [chats.News("text", "old ")]
    assert len(door.asked) == 1
    reply.refresh_from_db()
    assert reply.text == "old pond"


def test_a_reply_whose_reader_died_is_given_up_with_its_text(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor
) -> None:
    reply = begin_unread(engineer, policy)
    long_ago = timezone.now() - timedelta(minutes=2)
    ChatMessage.objects.filter(id=reply.pk).update(state="writing", text="old", seen_at=long_ago)
    found = streamed(engineer.post(url("write_reply", reply.pk), **STREAM))
    assert "event: end" in found
    reply.refresh_from_db()
    assert (reply.state, reply.text) == ("stopped", "old")


def test_nobody_goes_on_from_what_they_have_not_seen(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor
) -> None:
    chat = begin(engineer, policy)
    late = {**fields(policy, "From the other tab"), "turn": 0}
    response = engineer.post(url("say", chat.pk), late)
    assert response.status_code == 422
    assert "has gone on in another window" in text_of(response)
    assert "From the other tab" in text_of(response)
    assert chat.messages.count() == 2


def test_nobody_goes_on_while_a_reply_comes(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor
) -> None:
    reply = begin_unread(engineer, policy)
    early = {**fields(policy, "Hurry"), "turn": 1}
    response = engineer.post(url("say", reply.chat_id), early, **SCRIPTED)
    assert (response.status_code, response["HX-Retarget"]) == (422, "#problem")
    assert "still being answered" in text_of(response)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"text": " \n"}, "The message is empty"),
        ({"text": "frog\0"}, "contains a NUL character"),
        ({"text": "x" * 5_000_000}, "at most 20,000 fit"),
        ({"temperature": "hot"}, "Temperature: Enter a number."),
        ({"temperature": "nan"}, "Temperature: Enter a number."),
        ({"top_p": 0}, "Top p: "),
        ({"max_new_tokens": 10**9}, "Tokens at most: "),
        ({"seed": -1}, "Seed: "),
        ({"left": ""}, "Choose a policy, a base model or"),
        ({"left": 10**30}, "Choose a policy, a base model or"),
    ],
)
def test_it_says_what_cannot_be_sent_and_gives_it_back(
    engineer: Client,
    policy: Checkpoint,
    door: ScriptedDoor,
    change: dict[str, Any],
    sentence: str,
) -> None:
    sent = {**fields(policy), **change}
    response = engineer.post(url("new_chat", policy.project_id), sent)
    assert response.status_code == 422
    page = text_of(response)
    assert sentence in page
    assert str(sent["text"]).strip().replace("\0", "")[:50] in page
    assert not Chat.objects.exists()


def test_it_refuses_reward_models_and_checkpoints_of_others(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor, alice: User
) -> None:
    reward = make_checkpoint(policy.project, kind="reward")
    foreign = make_base(Project.objects.create(name="Other", created_by=alice))
    address = url("new_chat", policy.project_id)
    for wrong in (reward, foreign):
        assert engineer.post(address, fields(wrong)).status_code == 422
        assert engineer.post(address, fields(policy, right=wrong.pk)).status_code == 422
    response = engineer.post(address, fields(policy, right=policy.pk))
    assert "two different checkpoints" in text_of(response)


@pytest.mark.parametrize(
    ("script", "refusal", "sentence"),
    [
        ([Failed("This conversation has become too long.", True)], None, "has become too long"),
        ([Token("old"), Heartbeat(), Failed("The model died.")], None, "The model died."),
        ([lambda: 1 // 0], None, "The reply broke off"),
        ([], streaming.Busy(9), "Try again in 9 seconds"),
        ([], streaming.Unavailable("The broker does not answer."), "The broker does not answer."),
    ],
)
def test_a_reply_that_failed_says_why_and_how_to_go_on(
    engineer: Client,
    policy: Checkpoint,
    door: ScriptedDoor,
    script: list[Any],
    refusal: Exception | None,
    sentence: str,
) -> None:
    door.script, door.refusal = script, refusal
    chat = begin(engineer, policy)
    page = text_of(engineer.get(url("chat", chat.pk)))
    assert sentence in page
    assert "Ask again" in page
    assert "Begin a new chat" in page
    assert replies(chat)[0].state == "failed"


def test_a_checkpoint_whose_files_vanished_is_told(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor
) -> None:
    reply = begin_unread(engineer, policy)
    shutil.rmtree(artifacts.checkpoint_folder(policy))
    engineer.post(url("write_reply", reply.pk))
    reply.refresh_from_db()
    assert "The files of sft-1 are damaged: manifest.json is missing" in reply.error
    assert not door.asked
    again = engineer.post(url("ask_again", reply.pk), follow=True)
    assert "are damaged: manifest.json is missing" in text_of(again)


@pytest.mark.parametrize("rendering", ["verbatim", "markdown"])
def test_it_shows_what_was_said_as_text(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor, rendering: str
) -> None:
    Project.objects.filter(id=policy.project_id).update(rendering=rendering)
    attack = "<img src=x onerror=alert(1)>[go](javascript:alert(1))"
    door.script = [Token(attack), Done("length", USAGE, 1)]
    chat = begin(engineer, policy, text=attack)
    page = text_of(engineer.get(url("chat", chat.pk)))
    assert "<img src=x" not in page
    assert 'href="javascript' not in page
    assert "cut at its longest" in page


def test_a_chat_is_seen_by_who_wrote_it_and_nobody_else(
    engineer: Client, policy: Checkpoint, door: ScriptedDoor, project: Project
) -> None:
    chat = begin(engineer, policy)
    [reply] = replies(chat)
    gets = [url("chat", chat.pk), url("chat_reply", reply.pk)]
    posts = [url("say", chat.pk), url("say_differently", chat.pk)]
    posts += [url(f"{name}", reply.pk) for name in ("write_reply", "stop_reply", "ask_again")]
    for name in ("alice", "bob", "carol", "charlie"):
        other = Client()
        other.force_login(User.objects.get(username=name))
        assert {other.get(address).status_code for address in gets} == {404}, name
        assert {other.post(address).status_code for address in posts} == {404}, name
        expected = 200 if name == "alice" else 404
        assert other.get(url("new_chat", project.pk)).status_code == expected, name
    assert {engineer.post(address).status_code for address in gets} == {405}
    assert {engineer.get(address).status_code for address in posts} == {405}
