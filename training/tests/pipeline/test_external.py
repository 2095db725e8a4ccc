"""Asking a server elsewhere: what it says, and everything that can come back instead."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from training.pipeline import external, train
from training.pipeline.config import SampleConfig
from training.pipeline.endpoint import EndpointError, ask, check_url
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.jobs import ExternalSource, Job
from training.tests.servers import (
    ScriptedServer,
    drips,
    echoes,
    floods,
    hangs,
    says,
    sends,
    serving,
)

MESSAGES = [{"role": "user", "content": "A frog?"}]
KEY = "sk-very-secret"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    monkeypatch.setattr(external, "BACK_OFF_S", 0.001)
    monkeypatch.setattr(external, "LOOK_EVERY_S", 0.05)
    with serving() as running:
        yield running


def source_of(server: ScriptedServer, **changes: Any) -> ExternalSource:
    values = {"name": "llama", "url": server.url, "model": "llama-9", "timeout_s": 2.0}
    return ExternalSource(**{**values, "allowed": ("127.0.0.1",), **changes})


def error_of(source: ExternalSource) -> EndpointError:
    with pytest.raises(EndpointError) as caught:
        ask(source, KEY, MESSAGES, {"temperature": 1.0})
    assert KEY not in str(caught.value)
    return caught.value


def test_it_asks_as_an_openai_client_does(server: ScriptedServer) -> None:
    answer = ask(source_of(server), KEY, MESSAGES, {"temperature": 0.5, "max_tokens": 8})
    assert (answer.text, answer.finish_reason, answer.model, answer.tokens) == (
        "old pond",
        "stop",
        "llama-9",
        2,
    )
    [asked] = server.asked
    assert asked["path"] == "/v1/chat/completions"
    assert asked["headers"]["Authorization"] == f"Bearer {KEY}"
    assert (asked["model"], asked["messages"], asked["stream"]) == ("llama-9", MESSAGES, False)
    assert (asked["temperature"], asked["max_tokens"]) == (0.5, 8)


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (sends(500, "<h1>oops</h1>", "text/html"), "not able to answer now (500)"),
        (sends(429, {"error": {"message": "slow\ndown."}}), "now (429): “slow down”"),
        (sends(401, {"error": {"message": f"bad key {KEY}"}}), "the key (401): “bad key …”"),
        (sends(404, {"detail": "x"}), "no model “llama-9” (404)"),
        (sends(400, {"error": "too long"}), "refused the request (400): “too long”"),
        (sends(302, "", Location="http://169.254.169.254/"), "a redirect (302)"),
        (sends(200, "<html>", "text/html"), "sent text/html, which is no JSON"),
        (sends(200, "[" * 100_000), "which is no JSON"),
        (sends(200, {"choices": []}), "without choices[0].message.content"),
        (sends(200, [1]), "without choices[0].message.content"),
        (says(None), "an empty answer"),
        (says("  "), "an empty answer"),
        (says({"a": 1}), "a completion that is no text"),
        (floods, "sent more than 4 MB"),
    ],
)
def test_it_says_in_words_what_came_back_instead(
    server: ScriptedServer, act: Any, sentence: str
) -> None:
    server.script = [act]
    assert sentence in str(error_of(source_of(server)))
    assert len(server.asked) == 1


@pytest.mark.parametrize("act", [hangs, drips])
def test_it_hangs_up_on_a_server_that_takes_too_long(server: ScriptedServer, act: Any) -> None:
    server.script = [act]
    error = error_of(source_of(server, timeout_s=0.3))
    assert "within 0.3 seconds" in str(error)
    assert error.retry


def test_it_tells_a_server_that_does_not_run_and_one_without_tls(server: ScriptedServer) -> None:
    secure = source_of(server, url=server.url.replace("http:", "https:"))
    assert "No secure connection" in str(error_of(secure))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nobody = source_of(server, url=f"http://127.0.0.1:{port}")
    assert "Connection refused" in str(error_of(nobody))


def test_it_tells_a_certificate_that_is_not_to_be_trusted(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        error = ssl.SSLCertVerificationError(1, "failed")
        error.verify_message = "self-signed certificate"
        raise error

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", refuse)
    secure = source_of(server, url=server.url.replace("http:", "https:"))
    assert "not to be trusted (self-signed certificate)" in str(error_of(secure))


def test_it_tells_a_name_that_nobody_knows(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = error_of(source_of(server, url="https://llama.example/v1"))
    assert "The name llama.example is not known here" in str(error)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/v1",
        "host/v1",
        "https://",
        "https://user:pass@host/v1",
        "https://host/v1?key=x",
        "https://ho st/v1",
        "https://host:99999/v1",
        "http://[::1/v1",
        "http://127.0.0.1:8000",
        "http://10.1.2.3/v1",
        "http://169.254.169.254/latest",
        "http://[::1]/v1",
        "http://[fe80::1]/v1",
        "http://[::ffff:127.0.0.1]/v1",
        "http://[64:ff9b::7f00:1]/v1",
        "http://[2002:7f00:1::]/v1",
        "http://0.0.0.0/v1",
        "http://224.0.0.1/v1",
        "https://host/é/v1",
    ],
)
def test_it_refuses_addresses_that_may_not_be_asked(url: str) -> None:
    with pytest.raises(EndpointError):
        check_url(url, ())


@pytest.mark.parametrize("found", ["127.0.0.1", "10.0.0.7", "fd00::1", "::ffff:192.168.0.1"])
def test_it_refuses_names_that_lead_into_a_private_network(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    looked_up = []

    def lookup(host: str, port: int, **_: Any) -> list[Any]:
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found, port))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    port = server.server_address[1]
    inside = source_of(server, url=f"http://inside.example:{port}/v1", allowed=())
    error = error_of(inside)
    assert "inside.example lies in a private network" in str(error)
    assert (server.asked, looked_up) == ([], ["inside.example"])


def test_it_connects_to_the_address_that_it_looked_up(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second look-up of a name may tell another address: there is none."""
    real, names = socket.getaddrinfo, []

    def lookup(host: str, port: int, *rest: Any, **named: Any) -> Any:
        names.append(host)
        return real("127.0.0.1" if host == "llama.example" else host, port, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    url = f"http://llama.example:{server.server_address[1]}/v1"
    assert ask(source_of(server, url=url, allowed=("llama.example",)), "", MESSAGES, {}).text
    assert names.count("llama.example") == 1
    assert server.asked[0]["headers"]["Host"].startswith("llama.example")


# The stage


def job(tmp_path: Path, server: ScriptedServer, prompts: int = 3, **changes: Any) -> Job:
    rows = [
        {"prompt_id": n, "prompt": [{"role": "user", "content": f"Stone {n}"}]}
        for n in range(1, prompts + 1)
    ]
    data = tmp_path / "prompts.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Job(
        config=SampleConfig(completions_per_prompt=2),
        base_path="",
        work_dir=str(tmp_path / "work"),
        output_dir=str(tmp_path / "output"),
        data_path=str(data),
        external=source_of(server, **changes),
    )


def carry_out(job: Job, *, stop_after: int | None = None) -> dict[str, Any]:
    done: list[int] = []

    def report(event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            done.append(event["step"])

    def should_stop() -> bool:
        return stop_after is not None and bool(done) and done[-1] >= stop_after

    return train(job, report=report, should_stop=should_stop).results


def rows_of(job: Job) -> list[dict[str, Any]]:
    lines = Path(job.output_dir, "completions.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_it_leaves_completions_as_a_model_here_does(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENDPOINT_API_KEY", KEY)
    server.script = [echoes]
    asked = job(tmp_path, server)
    asked = Job.from_dict(json.loads(json.dumps(asked.to_dict())))
    assert carry_out(asked) == {"completions": 6}
    rows = rows_of(asked)
    assert [row["prompt_id"] for row in rows] == [1, 1, 2, 2, 3, 3]
    assert {row["source"] for row in rows} == {"policy"}
    assert len({row["sampling"]["seed"] for row in rows[:2]}) == 2
    assert rows[0]["sampling"]["model"] == "llama-9"
    assert server.asked[0]["headers"]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in "".join(p.read_text() for p in tmp_path.rglob("*") if p.is_file())


def test_it_asks_again_after_a_while_and_counts_what_it_could_not_have(
    server: ScriptedServer, tmp_path: Path
) -> None:
    busy = sends(429, {"error": {"message": "busy"}}, Retry_After="0.01")
    server.script = [busy, sends(503, "x"), sends(400, {"error": "too long"}), says("old pond")]
    asked = job(tmp_path, server)
    results = carry_out(asked)
    assert (results["completions"], results["left_out"]) == (5, 1)
    assert "refused the request (400): “too long”" in results["why_left_out"]
    assert len(server.asked) == 8


@pytest.mark.parametrize(
    ("act", "sentence", "most"),
    [
        (sends(401, {}), "refused the key", 12),
        (sends(200, "<html>", "text/html"), "which is no JSON", 20),
        (sends(500, ""), "not able to answer now", 80),
    ],
)
def test_it_gives_up_a_server_that_answers_nothing(
    server: ScriptedServer, tmp_path: Path, act: Any, sentence: str, most: int
) -> None:
    server.script = [act]
    with pytest.raises(PipelineError, match=sentence):
        carry_out(job(tmp_path, server, prompts=100))
    assert len(server.asked) <= most


def test_it_pays_for_no_answer_twice(server: ScriptedServer, tmp_path: Path) -> None:
    server.script = [echoes]
    asked = job(tmp_path, server, prompts=4)
    with pytest.raises(RunStopped):
        carry_out(asked, stop_after=3)
    file = Path(asked.work_dir, "asked-policy.jsonl")
    kept = {json.loads(line)[1]["text"] for line in file.read_text().splitlines()}
    assert len(kept) >= 3
    with file.open("a") as appended:
        appended.write('[0, {"prompt_id"')  # a line that was cut off by a power failure
    server.asked.clear()
    assert carry_out(asked) == {"completions": 8}
    again = {f"{one['messages'][0]['content']} {one['seed']}" for one in server.asked}
    assert not again & kept
    assert len({(row["prompt_id"], row["text"]) for row in rows_of(asked)}) == 8


def test_an_evaluation_asks_the_server_first_and_the_model_what_the_server_answered(
    server: ScriptedServer, make_job: Callable[..., Job], tmp_path: Path
) -> None:
    server.script = [sends(400, {"error": "too long"}), echoes]
    config = SampleConfig(completions_per_prompt=1, max_new_tokens=4)
    asked = make_job(tmp_path, config, "prompts", rival=True, rival_external=source_of(server))
    results = carry_out(asked)
    assert (results["completions"], results["left_out"]) == (78, 1)
    rows = rows_of(asked)
    sides = {
        side: [row["prompt_id"] for row in rows if row["source"] == side]
        for side in ("policy", "rival")
    }
    assert sides["policy"] == sides["rival"]
    assert len(set(sides["policy"])) == 39
    assert {row["sampling"].get("model") for row in rows} == {None, "llama-9"}
