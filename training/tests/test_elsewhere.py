"""Answers of servers elsewhere go through the same door as those of models here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from annotations.models import Project, User
from training import elsewhere, replies, services, streaming, streams
from training.models import Checkpoint, Endpoint
from training.streaming import Done, Event, Failed, Generation, Heartbeat, Token
from training.tests import brokers, scripted_replies
from training.tests.factories import make_checkpoint
from training.tests.servers import ENDED, ScriptedServer, hangs, sends, serving
from training.tests.servers import streams as sent

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "sk-very-secret"


@pytest.fixture(scope="module")
def broker_url() -> Iterator[str]:
    with brokers.running() as url:
        yield url


@pytest.fixture
def server(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broker_url: str
) -> Iterator[ScriptedServer]:
    settings.VAR_DIR = tmp_path
    settings.REPLIES_IDLE_SECONDS = 20
    settings.REPLIES_COMMAND = scripted_replies.command("streams")
    settings.CELERY_BROKER_URL = broker_url
    settings.ALLOWED_PRIVATE_ENDPOINTS = ["127.0.0.1"]
    monkeypatch.setattr(streaming, "POLL_S", 0.1)
    monkeypatch.setattr(replies, "LISTEN_S", 0.01)
    monkeypatch.setattr(streaming.tasks, "hint_replies", lambda: None)
    with serving() as running:
        yield running
    streams._client(broker_url).flushall()


@pytest.fixture
def llama(project: Project, server: ScriptedServer, eve: User) -> Checkpoint:
    entered = services.Server(server.url, "llama-9", 30)
    return services.add_endpoint(project, "llama", entered, key=KEY, created_by=eve).checkpoint


def ask(checkpoint: Checkpoint, **changes: Any) -> Generation:
    return Generation(checkpoint.pk, [{"role": "user", "content": "A frog?"}], **changes)


def answer(generation: Generation) -> list[Event]:
    found = streaming.events(streaming.begin(generation))
    return [event for event in found if not isinstance(event, Heartbeat)]


def log() -> str:
    return (replies.service_folder() / "log.txt").read_text()


def test_its_answer_streams_and_no_model_is_loaded_for_it(
    llama: Checkpoint, server: ScriptedServer
) -> None:
    server.script = [sent("old ", "pond", *ENDED)]
    with brokers.serving():
        events = answer(ask(llama, temperature=0.5, top_p=0.9, max_new_tokens=9, seed=4))
    assert events[-3:] == [Token("old "), Token("pond"), Done("stop", {"completion_tokens": 3}, 4)]
    [asked] = server.asked
    assert [asked[name] for name in ("temperature", "top_p", "max_tokens", "seed")] == [
        0.5,
        0.9,
        9,
        4,
    ]
    assert "of llama ended" in log()
    assert "the child" not in log()


def test_what_goes_wrong_is_told_once_and_the_key_nowhere(
    llama: Checkpoint, server: ScriptedServer
) -> None:
    server.script = [sends(401, {"error": {"message": f"{KEY} is unknown"}}), sent("old ")]
    with brokers.serving():
        refused, broken = answer(ask(llama)), answer(ask(llama))
    assert refused[-1] == Failed("llama refused the key (401): “… is unknown”. Enter another one.")
    assert broken[-2] == Token("old ")
    assert isinstance(broken[-1], Failed)
    assert "in the middle of its answer" in broken[-1].message
    assert "refused the key" in log()
    assert KEY not in log()


def test_a_server_that_hangs_holds_up_nobody_and_a_stop_ends_it_at_once(
    llama: Checkpoint, server: ScriptedServer, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elsewhere, "MOST_ASKED", 1)
    server.script = [hangs]
    with brokers.serving():
        hanging = streaming.begin(ask(llama))
        assert isinstance(answer(ask(make_checkpoint(project)))[-1], Done)
        assert answer(ask(llama))[-1] == Failed(elsewhere.ALL_ASK)
        began = time.monotonic()
        streaming.stop(hanging)
        last = list(streaming.events(hanging))[-1]
        assert time.monotonic() - began < 2
    assert isinstance(last, Done)
    assert last.finish_reason == "stop"


def test_a_lost_key_says_what_to_do(llama: Checkpoint, server: ScriptedServer) -> None:
    Endpoint.objects.update(encrypted_key="nonsense")
    with brokers.serving():
        [*_, last] = answer(ask(llama))
    assert isinstance(last, Failed)
    assert "Enter it again on the endpoint's page." in last.message
    assert server.asked == []


def test_a_service_that_leaves_says_so(llama: Checkpoint, server: ScriptedServer) -> None:
    server.script = [hangs]
    with brokers.serving():
        name = streaming.begin(ask(llama))
        while not server.asked:
            time.sleep(0.01)
    assert list(streaming.events(name))[-1] == Failed(streams.DIED)
