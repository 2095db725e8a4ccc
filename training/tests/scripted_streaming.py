"""The streaming door with a script in the place of a broker, a worker and a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from training import streaming
from training.streaming import Done, Event, Generation, Token, Waiting

USAGE = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}


class ScriptedDoor:
    """Answers everything with `script`, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Generation] = []
        self.stopped: list[str] = []
        self.left: list[str] = []
        self.refusal: Exception | None = None
        self.script: list[Event | Callable[[], Any]] = [
            Waiting(2, 4),
            Token("old "),
            Token("pond"),
            Done("stop", USAGE, 7),
        ]
        """What comes; what can be called is called at its place."""

    def begin(self, generation: Generation) -> str:
        if self.refusal:
            raise self.refusal
        self.asked.append(generation)
        return f"generation-{len(self.asked)}"

    def events(self, generation_id: str) -> Iterator[Event]:
        for event in self.script:
            if callable(event):
                event()
            else:
                yield event

    def stop(self, generation_id: str) -> None:
        self.stopped.append(generation_id)

    def leave(self, generation_id: str, *, seconds: int) -> None:
        self.left.append(generation_id)


def put_in_place(monkeypatch: pytest.MonkeyPatch) -> ScriptedDoor:
    """Put a scripted door in the place of the one to the workers."""
    door = ScriptedDoor()
    for name in ("begin", "events", "stop", "leave"):

        def late(*args: Any, name: str = name, **named: Any) -> Any:  # a test may change the door
            return getattr(door, name)(*args, **named)

        monkeypatch.setattr(streaming, name, late)
    return door
