"""What an import is made of, whatever the file looked like: a prompt and what was said about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from annotations.importers.rows import Messages


@dataclass(frozen=True)
class Candidate:
    """A completion of the prompt, and the model that wrote it, if the file says so."""

    text: str
    model: str = ""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What one person said. `origin` is its name in the file, where it has one."""

    annotator: str
    reason: str = ""
    wall_ms: int | None = None
    origin: str = ""
    by_model: bool = False
    """A prediction: kept to be compared with people, and never learned from."""


@dataclass(frozen=True, kw_only=True)
class Written(Said):
    """An ideal answer; with `of`, a better version of that candidate."""

    text: str
    of: int | None = None


@dataclass(frozen=True, kw_only=True)
class Chosen(Said):
    """Which of two candidates is better: `left` and `right` are their places in the record."""

    left: int
    right: int
    outcome: str
    strength: str = ""


@dataclass(frozen=True, kw_only=True)
class Ordered(Said):
    """Candidates in tiers, best first."""

    tiers: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Rated(Said):
    """For candidates, by the question's name: a point of a scale, and what was flagged."""

    scales: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    flags: Mapping[int, Mapping[str, int]] = field(default_factory=dict)


AnySaid = Written | Chosen | Ordered | Rated


@dataclass(frozen=True)
class Record:
    """A prompt of a file, its completions, and what people said about them."""

    messages: Messages
    candidates: tuple[Candidate, ...] = ()
    said: tuple[AnySaid, ...] = ()
    external_id: str = ""
    tags: tuple[str, ...] = ()
