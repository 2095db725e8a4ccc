"""Streams join and leave between two tokens, and are what they would have been alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.pipeline import residents, writing
from training.pipeline.jobs import ReplyRequest, StreamRequest
from training.pipeline.residents import ResidentModels
from training.pipeline.writing import Writer

Ask = Callable[..., StreamRequest]


class Reader:
    """A writer, and what was read of each of its streams."""

    def __init__(self, models: ResidentModels | None = None) -> None:
        self.events: list[dict[str, Any]] = []
        self.writer = Writer(models or ResidentModels(), self.events.append)

    def read(self, *requests: StreamRequest | ReplyRequest, steps: int = 10_000) -> Reader:
        """Add requests and write some tokens, by default all."""
        for request in requests:
            self.writer.add(request)
        while self.writer.is_busy and steps:
            self.writer.step()
            steps -= 1
        return self

    def text(self, name: str) -> str:
        return "".join(self.pieces(name))

    def pieces(self, name: str) -> list[str]:
        return [e["text"] for e in self.events if e["event"] == "text" and e["request"] == name]

    def end(self, name: str) -> dict[str, Any]:
        (event,) = (
            e
            for e in self.events
            if e.get("request") == name and e["event"] in ("ended", "refused", "failed", "replies")
        )
        return event


@pytest.fixture(scope="module")
def models() -> ResidentModels:
    return ResidentModels()


@pytest.fixture(scope="module")
def adapters(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the folders of two different adapters, neither of them the identity."""
    return [make_adapter(tiny_model, tmp_path_factory.mktemp("adapter"), n) for n in (3, 4)]


def make_adapter(base: Path, folder: Path, seed: int) -> str:
    import torch

    from training.pipeline.checkpoints import seal
    from training.pipeline.config import SFTConfig
    from training.pipeline.loading import add_policy, load_base

    torch.manual_seed(seed)
    model = add_policy(load_base(str(base)), None, SFTConfig(lora_rank=4))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    seal(folder / "policy", {})
    return str(folder / "policy")


@pytest.fixture
def ask(tiny_model: Path) -> Ask:
    def make(name: str, text: str = "Write a haiku about the moon.", **changes: Any) -> Any:
        values: dict[str, Any] = {
            "id": name,
            "base_path": str(tiny_model),
            "adapter_path": None,
            "messages": [{"role": "user", "content": text}],
            "seed": 1,
            "temperature": 1.0,
            "top_p": 0.95,
            "max_new_tokens": 20,
            "stop": [],
        }
        return StreamRequest(**{**values, **changes})

    return make


def test_who_joins_later_changes_nothing_for_anybody(ask: Ask, models: ResidentModels) -> None:
    requests = [
        ask("a", "the moon", seed=3, max_new_tokens=30),
        ask("b", "an old pond with a frog in it, and the rain " * 3, seed=4, temperature=0.7),
        ask("c", "it", seed=5, top_p=0.5, max_new_tokens=7),
        ask("d", "the winter sea", temperature=0),
    ]
    together = Reader(models)
    for number, request in enumerate(requests):
        together.read(request, steps=3 + number)
    (group,) = together.writer.groups
    assert len(group.batch.rows) >= 2
    assert together.end("c"), "it has left before the others"
    together.read()
    for request in requests:
        alone = Reader(models).read(request)
        assert together.text(request.id) == alone.text(request.id)
        assert together.end(request.id) == alone.end(request.id)


def test_text_comes_with_every_token_and_only_in_whole_characters(
    ask: Ask, models: ResidentModels
) -> None:
    from training.pipeline.data import decode

    reader = Reader(models).read(ask("a", max_new_tokens=60))
    assert len(reader.pieces("a")) > 10
    row = Reader(models)
    row.writer.add(ask("a", max_new_tokens=60))
    row.writer.step()
    (written,) = row.writer.groups[0].works[0].rows
    row.read()
    whole = decode(models.base(ask("a").base_path, print).tokenizer, written.tokens)
    assert reader.text("a") == whole.rstrip("\ufffd").rstrip()
    usage = reader.end("a")["usage"]
    assert usage["completion_tokens"] == len(written.tokens)
    assert usage["prompt_tokens"] == len(written.ids)
    assert usage["total_tokens"] == len(written.tokens) + len(written.ids)


def test_a_character_of_several_tokens_is_held_back_until_it_is_whole(
    ask: Ask, models: ResidentModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = models.base(ask("a").base_path, print).tokenizer
    ids = iter(tokenizer("a ☂ b")["input_ids"])
    monkeypatch.setattr("training.pipeline.batches.draw_each", lambda *_: [next(ids)])
    reader = Reader(models).read(ask("a", max_new_tokens=len(tokenizer("a ☂ b")["input_ids"])))
    assert reader.pieces("a") == ["a", " ☂", " b"]


def test_at_temperature_0_the_seed_does_not_matter(ask: Ask, models: ResidentModels) -> None:
    reader = Reader(models).read(
        ask("a", temperature=0, seed=1), ask("b", temperature=0, seed=2), ask("c"), ask("d", seed=9)
    )
    assert reader.text("a") == reader.text("b")
    assert reader.text("c") != reader.text("d")


def test_it_ends_before_a_stop_text_and_never_shows_its_beginning(
    ask: Ask, models: ResidentModels
) -> None:
    whole = Reader(models).read(ask("a", temperature=0, max_new_tokens=40)).text("a")
    stop = whole[10:14]
    reader = Reader(models).read(ask("a", temperature=0, max_new_tokens=40, stop=["nowhere", stop]))
    assert reader.text("a") == whole[: whole.index(stop)].strip()
    assert reader.end("a")["reason"] == "stop"
    assert reader.end("a")["usage"]["completion_tokens"] < 40


@pytest.mark.parametrize("begun", [True, False])
def test_one_that_is_stopped_ends_at_once_and_the_others_go_on(
    ask: Ask, models: ResidentModels, begun: bool
) -> None:
    reader = Reader(models).read(
        ask("a", max_new_tokens=50), ask("b", max_new_tokens=50), steps=5 if begun else 0
    )
    reader.writer.stop("a", "stop")
    reader.read(steps=1)
    assert reader.end("a")["reason"] == "stop"
    assert bool(reader.text("a")) == begun
    reader.read()
    assert reader.text("b") == Reader(models).read(ask("b", max_new_tokens=50)).text("b")
    assert reader.end("b")["reason"] == "length"


def test_checkpoints_on_one_base_are_written_side_by_side(
    ask: Ask, models: ResidentModels, adapters: list[str]
) -> None:
    first, second = adapters
    requests = [ask("a", adapter_path=first), ask("b"), ask("c", adapter_path=second)]
    reader = Reader(models).read(*requests, steps=4)
    assert all(reader.text(name) for name in "abc")
    reader.read()
    assert len({reader.text(name) for name in "abc"}) == 3
    for request in requests:
        assert reader.text(request.id) == Reader(models).read(request).text(request.id)


def test_more_checkpoints_than_stay_loaded_are_all_answered(
    ask: Ask, adapters: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (writing, residents):
        monkeypatch.setattr(module, "MOST_ADAPTERS", 2)
    copies = [shutil.copytree(adapters[0], tmp_path / f"{n}") for n in range(3)]
    reader = Reader().read(*(ask(str(c), adapter_path=str(c)) for c in copies), steps=2)
    assert len(reader.writer.groups) == 2
    reader.read()
    assert len({reader.text(str(copy)) for copy in copies}) == 1


@pytest.mark.parametrize("has_room", [True, False])
def test_two_bases_are_written_side_by_side_or_one_after_the_other(
    ask: Ask, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_room: bool
) -> None:
    monkeypatch.setattr(residents, "_has_room", lambda path: has_room)
    other = str(shutil.copytree(tiny_model, tmp_path / "other"))
    third = str(shutil.copytree(tiny_model, tmp_path / "third"))
    loaded: list[str] = []
    models = ResidentModels()
    reader = Reader(models)
    requests = [ask("a"), ask("b", base_path=other), ask("c"), ask("d", base_path=third)]
    reader.read(*requests, steps=3)
    assert bool(reader.text("b")) == has_room
    reader.read()
    assert len({reader.text(name) for name in "abcd"}) == 1
    loaded = [e["phase"] for e in reader.events if e["event"] == "phase"]
    assert len(loaded) == (3 if has_room else 4)


def test_turns_and_streams_are_written_in_one_batch(ask: Ask, models: ResidentModels) -> None:
    stream = ask("a", max_new_tokens=30)
    values = {k: v for k, v in stream.to_dict().items() if k not in ("seed", "stop")}
    turn = ReplyRequest(**{**values, "id": "7"}, seeds=[1, 2])
    reader = Reader(models).read(stream, turn, steps=2)
    assert len(reader.writer.groups) == 1
    reader.read()
    assert reader.end("7")["replies"][0]["text"].startswith(reader.text("a"))


def test_messages_that_leave_no_room_are_refused(ask: Ask, models: ResidentModels) -> None:
    reader = Reader(models).read(ask("a", "the moon " * 600), ask("b"))
    assert "512 at most" in reader.end("a")["message"]
    assert "Shorten" in reader.end("a")["message"]
    assert reader.text("b")


def test_what_fails_beside_others_begins_again_alone_where_it_was(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.pipeline import batches

    models = ResidentModels()
    requests = [ask("a", max_new_tokens=30), ask("b", seed=2, max_new_tokens=30)]
    expected = [Reader(models).read(request).text(request.id) for request in requests]
    whole, calls = batches.next_hidden, []

    def short_of_memory(trunk: Any, state: Any, tokens: Any) -> Any:
        calls.append(len(tokens))
        if len(tokens) > 1 and len(calls) > 5:
            raise RuntimeError("CUDA out of memory")  # as a GPU would say; here is none
        return whole(trunk, state, tokens)

    monkeypatch.setattr(batches, "next_hidden", short_of_memory)
    reader = Reader(models).read(*requests)
    assert [reader.text("a"), reader.text("b")] == expected


def test_no_more_rows_are_written_at_once_than_the_limit(
    ask: Ask, models: ResidentModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MOST_ROWS", 2)
    reader = Reader(models).read(*(ask(f"{n}", max_new_tokens=4) for n in range(5)), steps=2)
    assert len(reader.writer.groups[0].batch.rows) == 2
    reader.read()
    assert len({reader.text(f"{n}") for n in range(5)}) == 1
