"""What people answered in another tool, question by question, put together as what they said."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from annotations.algorithms.text import MAX_COMPLETION_CHARS, check_text
from annotations.importers.parsing import quoted
from annotations.importers.reading import outcome_of, reason_in
from annotations.importers.records import AnySaid, Candidate, Chosen, Ordered, Rated, Written
from annotations.importers.rows import BadLine

_NO_NAME = re.compile(r"[^a-z0-9]+")
_LAST_NUMBER = re.compile(r"(\d+)\D*\Z")
_STRENGTH_NAMES = ("strength", "how_much")
STRENGTHS = ("significantly", "better", "slightly", "negligibly")
_YES_OR_NO = {"yes": 1, "no": 0, "true": 1, "false": 0}
BAD_BUCKETS = ("bias", "bad", "irrelevant", "reject", "worse", "unsafe", "harmful", "wrong")
"""A bucket with such a word in its name is worse than one without."""


@dataclass
class Answers:
    """The answers of one person about one row, as they are gathered."""

    annotator: str
    origin: str = ""
    wall_ms: int | None = None
    by_model: bool = False
    outcome: str = ""
    strength: str = ""
    tiers: tuple[tuple[int, ...], ...] = ()
    texts: list[str] = field(default_factory=list)
    reason: str = ""
    scales: dict[int, dict[str, int]] = field(default_factory=dict)
    flags: dict[int, dict[str, int]] = field(default_factory=dict)

    def choose(self, name: str, values: Sequence[str], about: int | None) -> None:
        """Take a choice of labels: which of two is better, how much, or what is flagged."""
        if len(values) == 1 and says_strength(name, values[0]):
            self.strength = values[0]
        elif about is None and len(values) == 1 and (outcome := outcome_of(values[0])):
            self.outcome = outcome
        elif about is None:
            raise BadLine(
                f"The choice {quoted(name)} says neither which of two is better nor of which "
                "completion it speaks."
            )
        elif len(values) == 1 and values[0] != name and values[0].strip().lower() in _YES_OR_NO:
            answer = _YES_OR_NO[values[0].strip().lower()]
            self.flags.setdefault(about, {})[question_name(name)] = answer
        else:
            raised = self.flags.setdefault(about, {})
            denied = f"not {name}"
            raised.update({question_name(name): 0} if denied in values else {})
            raised.update({question_name(one): 1 for one in values if one != denied})

    def rate(self, name: str, value: Any, about: int | None) -> None:
        """Take a point of a scale."""
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10:
            raise BadLine(f"The rating {quoted(name)} has to be a number from 1 to 10.")
        if about is None:
            raise BadLine(f"Of which completion the rating {quoted(name)} speaks is not said.")
        self.scales.setdefault(about, {})[question_name(name)] = value

    def write(self, text: str) -> None:
        """Take a text."""
        field_name = "The text" if self.texts else "The answer"
        checked = check_text(text, field=field_name, max_chars=MAX_COMPLETION_CHARS)
        if checked.strip():
            self.texts.append(checked)

    def said(self, candidates: Sequence[Candidate]) -> list[AnySaid]:
        """Return what all of it amounts to. A text beside a judgement is its reason."""
        said: list[AnySaid] = []
        about: dict[str, Any] = {
            "annotator": self.annotator,
            "origin": self.origin,
            "wall_ms": self.wall_ms,
            "by_model": self.by_model,
        }
        judged = self.outcome or self.tiers or self.scales or self.flags
        reason = self.reason or ("\n".join(self.texts) if judged else "")
        about["reason"] = reason_in(reason)
        if self.outcome and len(candidates) != 2:
            raise BadLine("Which of two is better was answered, and there are not two completions.")
        if self.outcome:
            strength = self.strength if self.outcome in ("left", "right") else ""
            said.append(Chosen(left=0, right=1, outcome=self.outcome, strength=strength, **about))
        if len(ranked := [place for tier in self.tiers for place in tier]) > 1:
            if len(set(ranked)) < len(ranked):
                raise BadLine("The ranking names one of the completions twice.")
            said.append(Ordered(tiers=self.tiers, **about))
        if self.scales or self.flags:
            said.append(Rated(scales=self.scales, flags=self.flags, **about))
        if not judged:
            said += [
                Written(text=text, of=0 if len(candidates) == 1 else None, **about)
                for text in self.texts[:1]
            ]
        return said


def says_strength(name: str, value: str) -> bool:
    """Return whether an answer says how much better one of two is."""
    return question_name(name) in _STRENGTH_NAMES and value in STRENGTHS


def question_name(name: str) -> str:
    """Return a name as questions have them: small letters, digits and _, a letter first.

    >>> question_name("Harmful / unsafe")
    'harmful_unsafe'
    """
    plain = _NO_NAME.sub("_", name.lower()).strip("_")[:50]
    return plain if plain[:1].isalpha() else f"q_{plain}"[:50]


def place_by_number(name: str, count: int) -> int | None:
    """Return the place that a name like `response-2` means, if there are so many.

    >>> place_by_number("response-2", 2), place_by_number("response", 2)
    (1, None)
    """
    found = _LAST_NUMBER.search(name)
    place = int(found[1]) - 1 if found and len(found[1]) < 4 else -1
    return place if 0 <= place < count else None


def tiers_of(ranks: Mapping[int, int]) -> tuple[tuple[int, ...], ...]:
    """Return places in tiers, by rank; equal ranks are tied.

    >>> tiers_of({0: 2, 1: 1, 2: 2})
    ((1,), (0, 2))
    """
    return tuple(
        tuple(place for place in sorted(ranks) if ranks[place] == rank)
        for rank in sorted(set(ranks.values()))
    )
