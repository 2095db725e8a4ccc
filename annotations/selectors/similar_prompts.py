"""Which prompts of a project are worded most like one of them, or like any text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from annotations.algorithms.wording import MOST_CHARS, NEARLY_THE_SAME, nearest
from annotations.models import Message, Project, Prompt, Split

MOST_COMPARED = 20_000
"""Prompts that a text is held against: the newest."""
MOST_COMPARED_CHARS = 3_000_000
"""Of these no more than are read in two seconds."""


@dataclass(frozen=True)
class SimilarPrompt:
    """A prompt, how much it is like what was asked about, and what that means for training."""

    prompt: Prompt
    similarity: float
    is_leak: bool
    """It is nearly the same, and one of the two is trained on while the other is held out."""

    @property
    def is_nearly_the_same(self) -> bool:
        return self.similarity >= NEARLY_THE_SAME


@dataclass
class SimilarPrompts:
    """The prompts most like a text, the most so first."""

    compared: int = 0
    """How many prompts the text was held against."""
    is_cut: bool = False
    """Whether the project has older ones that it was not held against."""
    found: list[SimilarPrompt] = field(default_factory=list)

    @property
    def leaks(self) -> int:
        return sum(one.is_leak for one in self.found)


def prompts_like(prompt: Prompt, count: int) -> SimilarPrompts:
    """Return the other prompts of its project that are worded most like a prompt."""
    similar = _like(prompt.project, _said(prompt.messages), count, leave_out=prompt.pk)
    is_trained_on = prompt.split == Split.TRAIN
    similar.found = [
        SimilarPrompt(
            one.prompt,
            one.similarity,
            one.is_nearly_the_same and (one.prompt.split == Split.TRAIN) != is_trained_on,
        )
        for one in similar.found
    ]
    return similar


def prompts_like_text(project: Project, text: str, count: int) -> SimilarPrompts:
    """Return the prompts of a project that are worded most like a text."""
    return _like(project, text, count)


def _like(
    project: Project, text: str, count: int, *, leave_out: int | None = None
) -> SimilarPrompts:
    similar = SimilarPrompts()
    found = nearest(text, _read(project, similar, leave_out), count)
    prompts = Prompt.objects.in_bulk([key for key, _ in found])
    similar.found = [
        SimilarPrompt(prompts[key], similarity, is_leak=False)
        for key, similarity in found
        if key in prompts
    ]
    return similar


def _read(
    project: Project, similar: SimilarPrompts, leave_out: int | None
) -> Iterator[tuple[int, str]]:
    """Yield the newest prompts of a project, and count them."""
    prompts = project.prompts.order_by("-id")
    if leave_out is not None:
        prompts = prompts.exclude(pk=leave_out)
    rows = prompts.values_list("id", "messages")[: MOST_COMPARED + 1]
    chars = 0
    for key, messages in rows.iterator():
        if similar.compared == MOST_COMPARED or chars > MOST_COMPARED_CHARS:
            similar.is_cut = True
            return
        said = _said(messages)
        chars += min(len(said), MOST_CHARS)
        similar.compared += 1
        yield key, said


def _said(messages: list[Message]) -> str:
    """Return what the user says in a prompt: many conversations end in the same few words."""
    return "\n".join(turn["content"] for turn in messages if turn["role"] == "user")
