"""What files are read into, and what is wrong with a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Messages = tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class LineError:
    """What is wrong with one line of a file, in words."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"Line {self.line:,}: {self.message}"


@dataclass(frozen=True)
class PromptRow:
    """A prompt to add to a project."""

    messages: Messages
    external_id: str = ""
    tags: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> PromptRow:
        """Return the row of a prompt that is one turn by the user."""
        return cls(messages=user_turn(text))


@dataclass(frozen=True)
class DemonstrationRow:
    """A prompt and an ideal answer to it, written elsewhere."""

    messages: Messages
    completion: str

    @classmethod
    def of(cls, prompt: str, completion: str) -> DemonstrationRow:
        """Return the row of an answer to a prompt that is one turn by the user."""
        return cls(messages=user_turn(prompt), completion=completion)


class BadLine(Exception):
    """A line cannot be used; the message says why."""


def user_turn(text: str) -> Messages:
    """Return the messages of a prompt that is one turn by the user."""
    return ({"role": "user", "content": text},)
