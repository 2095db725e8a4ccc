"""The resident process answers what it can, and says of the rest why not."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from training.pipeline.jobs import ReplyRequest
from training.pipeline.residents import MOST_ADAPTERS, ResidentModels
from training.pipeline.serve import answer
from training.pipeline.writing import LEAST_ROOM, MOST_ROWS

Events = list[dict[str, Any]]


class Resident:
    """A real process, its standard input, and what it says."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "training.pipeline.serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "log.txt").open("wb"),
        )
        self.events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.events.put(json.loads(line))

    def send(self, *lines: bytes | ReplyRequest) -> None:
        assert self.process.stdin
        for line in lines:
            text = line if isinstance(line, bytes) else json.dumps(line.to_dict()).encode()
            self.process.stdin.write(text + b"\n")
        self.process.stdin.flush()

    def answer_to(self, name: str) -> dict[str, Any]:
        """Wait for the last word on a request."""
        while True:
            event = self.events.get(timeout=120)
            if event.get("request") == name and event["event"] not in ("progress", "text"):
                return event

    def end(self) -> int:
        assert self.process.stdin
        self.process.stdin.close()
        return self.process.wait(60)


@pytest.fixture
def resident(tmp_path: Path) -> Iterator[Resident]:
    started = Resident(tmp_path)
    yield started
    started.process.kill()
    started.process.wait()


@pytest.fixture
def ask(tiny_model: Path) -> Callable[..., ReplyRequest]:
    """Return what makes a request."""

    def make(name: str, text: str = "Write a haiku about the moon.", **changes: Any) -> Any:
        values: dict[str, Any] = {
            "id": name,
            "base_path": str(tiny_model),
            "adapter_path": None,
            "messages": [{"role": "user", "content": text}],
            "seeds": [1, 2],
            "temperature": 1.0,
            "top_p": 1.0,
            "max_new_tokens": 24,
        }
        return ReplyRequest(**{**values, **changes})

    return make


def answered(requests: list[ReplyRequest], models: ResidentModels | None = None) -> Events:
    """Answer requests in this process; return the events on requests."""
    events: Events = []
    answer(requests, models or ResidentModels(), events.append)
    return [event for event in events if "request" in event]


def texts(events: Events, name: str) -> list[str]:
    (event,) = (e for e in events if e["event"] == "replies" and e["request"] == name)
    return [reply["text"] for reply in event["replies"]]


def test_it_gives_two_different_replies_with_what_made_them(
    ask: Callable[..., ReplyRequest],
) -> None:
    (event,) = (e for e in answered([ask("7")]) if e["event"] == "replies")
    first, second = event["replies"]
    assert first["text"] != second["text"]
    assert (first["sampling"]["seed"], second["sampling"]["seed"]) == (1, 2)
    assert first["sampling"]["max_new_tokens"] == 24
    assert 1 <= first["sampling"]["tokens"] <= 24


def test_a_reply_depends_on_its_seed_alone(ask: Callable[..., ReplyRequest]) -> None:
    requests = [
        ask("a", "the moon", seeds=[3, 4]),
        ask("b", "an old pond with a frog in it", seeds=[5, 6]),
        ask("c", "it", seeds=[7, 8]),
    ]
    together = answered(requests)
    for request in requests:
        assert texts(together, request.id) == texts(answered([request]), request.id)


def test_it_reports_how_much_is_written(
    ask: Callable[..., ReplyRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.pipeline.writing.PROGRESS_EVERY_S", 0)
    shares = [e["percent"] for e in answered([ask("7")]) if e["event"] == "progress"]
    assert shares == sorted(shares)
    assert 0 < shares[0] <= shares[-1] < 100


def test_who_is_done_early_is_answered_early(
    ask: Callable[..., ReplyRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.pipeline.writing.PROGRESS_EVERY_S", 0)
    events = answered([ask(str(n), seeds=[n, n + 50], max_new_tokens=400) for n in range(12)])
    first_answer = next(n for n, e in enumerate(events) if e["event"] == "replies")
    assert any(e["event"] == "progress" for e in events[first_answer:])
    done: set[str] = set()
    for event in events:
        assert event["request"] not in done, "nothing follows an answer"
        if event["event"] == "replies":
            done.add(event["request"])
    assert len(done) == 12


def test_an_adapter_changes_the_replies_and_leaves_the_base_as_it_was(
    ask: Callable[..., ReplyRequest], sft_adapter: str
) -> None:
    models = ResidentModels()
    before = texts(answered([ask("7")], models), "7")
    adapted = texts(answered([ask("7", adapter_path=sft_adapter)], models), "7")
    assert adapted != before
    assert texts(answered([ask("7")], models), "7") == before
    both = answered([ask("a", adapter_path=sft_adapter), ask("b")], models)
    assert (texts(both, "a"), texts(both, "b")) == (adapted, before)


def test_the_adapter_used_longest_ago_leaves_the_memory(
    ask: Callable[..., ReplyRequest], sft_adapter: str, tmp_path: Path
) -> None:
    models = ResidentModels()
    copies = [
        shutil.copytree(sft_adapter, tmp_path / f"copy-{n}") for n in range(MOST_ADAPTERS + 1)
    ]
    replies = {
        tuple(texts(answered([ask("7", adapter_path=str(copy))], models), "7"))
        for copy in [*copies, copies[0]]
    }
    assert len(replies) == 1
    base = models.base(ask("7").base_path, lambda event: None)
    assert len(base.adapters) == len(base.model.peft_config) == MOST_ADAPTERS


def test_another_base_takes_the_place_of_the_first(
    ask: Callable[..., ReplyRequest], tiny_model: Path, sft_adapter: str, tmp_path: Path
) -> None:
    models = ResidentModels()
    other = str(shutil.copytree(tiny_model, tmp_path / "other"))
    before = texts(answered([ask("7", adapter_path=sft_adapter)], models), "7")
    assert len(texts(answered([ask("7", base_path=other)], models), "7")) == 2
    assert texts(answered([ask("7", adapter_path=sft_adapter)], models), "7") == before


def test_it_refuses_a_conversation_that_is_too_long_and_answers_the_others(
    ask: Callable[..., ReplyRequest],
) -> None:
    events = answered([ask("a"), ask("b", "the moon " * 600), ask("c")])
    (refused,) = (e for e in events if e["event"] == "refused")
    assert refused["request"] == "b"
    assert "512" in refused["message"]
    assert "start a new one" in refused["message"]
    assert len(texts(events, "a")) == len(texts(events, "c")) == 2


def test_a_reply_takes_the_room_that_is_left(ask: Callable[..., ReplyRequest]) -> None:
    models = ResidentModels()
    base = models.base(ask("7").base_path, lambda event: None)
    fits = next(
        text
        for words in range(500, 0, -1)
        if len(base.tokenizer(text := "moon " * words)["input_ids"]) < 512 - 2 * LEAST_ROOM
    )
    (event,) = (
        e for e in answered([ask("7", fits, max_new_tokens=400)], models) if e["event"] == "replies"
    )
    assert all(r["sampling"]["max_new_tokens"] < 3 * LEAST_ROOM for r in event["replies"])


def test_it_refuses_what_the_chat_template_does_not_take(
    ask: Callable[..., ReplyRequest], tiny_model: Path, tmp_path: Path
) -> None:
    strict = shutil.copytree(tiny_model, tmp_path / "strict")
    template = "{{ raise_exception('Roles must alternate') }}"
    (strict / "chat_template.jinja").write_text(template)
    (event,) = answered([ask("7", base_path=str(strict))])
    assert event["event"] == "refused"
    assert "Roles must alternate" in event["message"]


@pytest.mark.parametrize("fault", ["missing", "changed", "nonsense"])
def test_a_broken_adapter_fails_its_own_requests(
    ask: Callable[..., ReplyRequest], sft_adapter: str, tmp_path: Path, fault: str
) -> None:
    broken = shutil.copytree(sft_adapter, tmp_path / "broken")
    weights = broken / "adapter_model.safetensors"
    if fault == "missing":
        weights.unlink()
    else:
        weights.write_bytes(b"nothing of the kind")
    if fault == "nonsense":  # whole by its manifest
        from training.pipeline.checkpoints import seal

        seal(broken, {})
    models = ResidentModels()
    before = texts(answered([ask("7")], models), "7")
    events = answered(
        [ask("a", adapter_path=str(broken)), ask("b"), ask("c", adapter_path=str(broken))], models
    )
    assert {e["request"] for e in events if e["event"] == "failed"} == {"a", "c"}
    assert texts(events, "b") == before
    assert texts(answered([ask("7")], models), "7") == before


def test_what_fails_in_a_batch_fails_alone(
    ask: Callable[..., ReplyRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.pipeline import batches

    whole = batches.read_prompts

    def short_of_memory(trunk: Any, prompts: list[list[int]], **options: Any) -> Any:
        if any(len(prompt) > 100 for prompt in prompts):
            raise RuntimeError("CUDA out of memory")  # as a GPU would say; here is none
        return whole(trunk, prompts, **options)

    monkeypatch.setattr(batches, "read_prompts", short_of_memory)
    lone_surrogate = ask("d", "half a \ud800 character")
    events = answered([lone_surrogate, ask("a"), ask("b", "the moon and the rain " * 40), ask("c")])
    failed = {e["request"]: e["message"] for e in events if e["event"] == "failed"}
    assert failed.keys() == {"b", "d"}
    assert "memory" in failed["b"]
    assert len(texts(events, "a")) == len(texts(events, "c")) == 2


@pytest.mark.long
def test_a_process_answers_lives_on_after_nonsense_and_ends_with_its_input(
    resident: Resident, ask: Callable[..., ReplyRequest]
) -> None:
    resident.send(b"nonsense", b"[1]", b"{}", b'{"id": "x"}', b"\xff", b"[" * 5000)
    bad = ask("y").to_dict()
    for changes in ({"seeds": []}, {"messages": [5]}, {"top_p": 7}, {"temperature": "warm"}):
        resident.send(json.dumps({**bad, **changes}).encode())
    resident.send(ask("z", base_path="/no/such/folder"))
    assert "x" not in resident.answer_to("x")["message"].split()
    for words in ("seeds", "role", "top_p", "temperature"):
        event = resident.answer_to("y")
        assert event["event"] == "failed"
        assert words in event["message"]
    assert "/no/such/folder" in resident.answer_to("z")["message"]
    resident.send(*(ask(f"ok-{n}", f"moon {n}") for n in range(MOST_ROWS + 3)))
    for n in range(MOST_ROWS + 3):
        assert len(resident.answer_to(f"ok-{n}")["replies"]) == 2
    values = {k: v for k, v in ask("s").to_dict().items() if k != "seeds"}
    stream = {**values, "seed": 1, "stop": [], "max_new_tokens": 400}
    resident.send(json.dumps(stream).encode(), b'{"stop": "s", "reason": "stop"}')
    event = resident.answer_to("s")
    assert (event["event"], event["reason"]) == ("ended", "stop")
    assert resident.end() == 0
