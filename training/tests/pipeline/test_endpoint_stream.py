"""A server elsewhere whose answer is read while it is written, and all that can come instead."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from training.pipeline import endpoint_stream
from training.pipeline.endpoint import Answer, EndpointError
from training.pipeline.endpoint_stream import ask_streamed
from training.pipeline.jobs import ExternalSource
from training.pipeline.outward import Line
from training.tests.servers import (
    DONE,
    ENDED,
    ScriptedServer,
    chunk,
    drips,
    floods,
    hangs,
    says,
    sends,
    serving,
    streams,
)

MESSAGES = [{"role": "user", "content": "A frog?"}]
KEY = "sk-very-secret"


@pytest.fixture(scope="module")
def running() -> Iterator[ScriptedServer]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running: ScriptedServer) -> ScriptedServer:
    running.asked.clear()
    return running


def ask(server: ScriptedServer, line: Line | None = None, **changes: Any) -> list[Any]:
    values = {"name": "llama", "url": server.url, "model": "llama-9", "timeout_s": 2.0}
    source = ExternalSource(**{**values, "allowed": ("127.0.0.1",), **changes})
    return list(ask_streamed(source, KEY, MESSAGES, {"max_tokens": 8}, line or Line()))


def error_of(server: ScriptedServer, **changes: Any) -> str:
    with pytest.raises(EndpointError) as caught:
        ask(server, **changes)
    assert KEY not in str(caught.value)
    return str(caught.value)


def test_its_pieces_come_one_by_one_and_last_the_whole(server: ScriptedServer) -> None:
    server.script = [streams(b": hello\r\n\r\n", "old ", chunk(None), "pond 蛙", *ENDED)]
    assert ask(server) == ["old ", "pond 蛙", Answer("old pond 蛙", "stop", "llama-9", 3)]
    [asked] = server.asked
    assert (asked["stream"], asked["max_tokens"], asked["model"]) == (True, 8, "llama-9")
    assert asked["headers"]["Authorization"] == f"Bearer {KEY}"


def test_a_server_that_knows_no_streams_answers_at_once(server: ScriptedServer) -> None:
    server.script = [says("old pond")]
    assert ask(server) == ["old pond", Answer("old pond", "stop", "llama-9", 2)]


def test_an_end_without_a_mark_is_one_where_the_reason_came(server: ScriptedServer) -> None:
    server.script = [streams("old pond", chunk("", finish_reason="length"))]
    assert ask(server)[-1] == Answer("old pond", "length", "llama-9", None)


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (sends(500, "<h1>oops</h1>", "text/html"), "not able to answer now (500)"),
        (sends(401, {"error": {"message": f"bad key {KEY}"}}), "the key (401): “bad key …”"),
        (sends(302, "", Location="http://169.254.169.254/"), "a redirect (302)"),
        (sends(200, "<html>", "text/html"), "sent text/html, which is no JSON"),
        (streams("old "), "closed the connection in the middle of its answer. Ask again."),
        (streams("old ", b'data: {"choices": [{"del'), "is not like OpenAI's"),
        (streams("old ", b"data: <html>\n\n"), "is not like OpenAI's"),
        (streams({"choices": [7]}), "is not like OpenAI's"),
        (streams({"choices": {"a": 1}}), "is not like OpenAI's"),
        (streams({"choices": [{"delta": {"content": [1]}}]}), "is not like OpenAI's"),
        (streams("a", {"error": {"message": f"no room {KEY}"}}), "its answer: “no room …”. Ask"),
        (streams(DONE), "sent an empty answer"),
        (streams(b"x" * (2**20 + 9)), "far more than it was asked for"),
        (floods, "more than 4 MB"),
    ],
)
def test_whatever_else_comes_is_a_sentence(server: ScriptedServer, act: Any, sentence: str) -> None:
    server.script = [act]
    assert sentence in error_of(server)


def test_an_answer_without_end_is_cut_off(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_stream, "LONGEST_TEXT", 50)
    server.script = [streams(*["old pond "] * 10, *ENDED)]
    assert "far more than it was asked for" in error_of(server)


@pytest.mark.parametrize("act", [hangs, drips, streams("old ", *["pond "] * 20, pause=0.05)])
def test_its_time_ends_however_slowly_it_writes(server: ScriptedServer, act: Any) -> None:
    server.script = [act]
    began = time.monotonic()
    assert "within 0.2 seconds" in error_of(server, timeout_s=0.2)
    assert time.monotonic() - began < 1


def test_another_thread_hangs_up_at_once(server: ScriptedServer) -> None:
    server.script = [hangs]
    line = Line()
    threading.Timer(0.1, line.hang_up).start()
    began = time.monotonic()
    with pytest.raises(EndpointError):
        ask(server, line)
    assert time.monotonic() - began < 1


def test_it_asks_no_private_address_that_nobody_allowed(server: ScriptedServer) -> None:
    assert "ALLOWED_PRIVATE_ENDPOINTS" in error_of(server, allowed=())
    assert server.asked == []
