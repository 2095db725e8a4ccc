"""A streaming door that answers by a script, in this process: what the arena sees of the broker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

import pytest

from training import streaming
from training.streaming import Done, Event, Generation, Token, Waiting

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


class Door:
    """Answers generations with the texts that it was given for their checkpoints."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.ends: dict[int, Event] = {}
        self.begun: list[Generation] = []
        self.stopped: list[str] = []
        self.refusal: Exception | None = None

    def begin(self, generation: Generation) -> str:
        if self.refusal is not None:
            raise self.refusal
        self.begun.append(generation)
        return f"g{len(self.begun)}"

    def events_of(self, generation_ids: Sequence[str]) -> Iterator[tuple[int, Event]]:
        sides = [self._events(name) for name in generation_ids]
        for together in zip_longest(*sides):
            for number, event in enumerate(together):
                if event is not None:
                    yield number, event

    def stop(self, generation_id: str) -> None:
        self.stopped.append(generation_id)

    def _events(self, name: str) -> Iterator[Event]:
        generation = self.begun[int(name[1:]) - 1]
        checkpoint = generation.checkpoint_id
        yield Waiting(2, 5)
        text = self.texts.get(checkpoint, f"a frog by the pond, number {checkpoint * 7}")
        for word in text.split(" "):
            yield Token(word + " ")
        yield self.ends.get(checkpoint, Done("stop", USAGE, 7))


def install(monkeypatch: pytest.MonkeyPatch) -> Door:
    """Put a scripted door in the place of the broker's."""
    door = Door()
    for name in ("begin", "events_of", "stop"):
        monkeypatch.setattr(streaming, name, getattr(door, name))
    return door
