"""Completions that people are asked about: the one door from training to the queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from annotations.algorithms.text import MAX_COMPLETION_CHARS, TextError, check_text, same_words
from annotations.models import Completion, Item, Kind, Project
from annotations.services.rules import CHUNK, MAX_OVERLAP, ServiceError, chunks, lock


@dataclass(frozen=True)
class Answer:
    """A completion that a checkpoint, or something outside, gave to a prompt."""

    prompt_id: int
    text: str
    checkpoint_id: int | None = None
    source_name: str = ""
    sampling: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AddedItems:
    """What became of a batch of answers. Dropped answers are in no item."""

    completions: int
    items: int
    dropped: int


@transaction.atomic
def add_completions(
    project: Project,
    answers: Sequence[Answer],
    *,
    kind: str,
    purpose: str = Item.Purpose.TRAINING,
    batch: str,
    overlap: int | None = None,
) -> AddedItems:
    """Ask people about answers: in pairs, or in one ranking a prompt.

    Answers of one prompt that differ in whitespace alone are one answer. A prompt that already has
    items of this batch gets no more, so that doing it again adds nothing. For an evaluation a
    prompt has as many answers by the child as by the parent; the first of each make a pair, the
    second of each the next.
    """
    if kind not in (Kind.COMPARISON, Kind.RANKING):
        raise ServiceError(f"Completions are compared or ranked; “{kind}” is neither.")
    if not batch:
        raise ServiceError("Name the batch, so that the same answers are not added twice.")
    overlap = project.comparison_overlap if overlap is None else overlap
    if not 1 <= overlap <= MAX_OVERLAP:
        raise ServiceError(f"Choose an overlap from 1 to {MAX_OVERLAP}.")
    lock(project)
    answers_by_prompt = _new_answers_by_prompt(project, answers, batch)
    groups: list[list[Answer]] = []
    dropped = 0
    for same_prompt in answers_by_prompt.values():
        if purpose == Item.Purpose.EVALUATION:
            pairs = _sides_in_pairs(same_prompt)
            found = [pair for pair in pairs if len(_distinct(pair)) == 2]
        else:
            found = _groups(_distinct(same_prompt), kind)
        groups += found
        dropped += len(same_prompt) - sum(len(group) for group in found)
    completions = _create_items(project, groups, purpose=purpose, batch=batch, overlap=overlap)
    return AddedItems(completions=completions, items=len(groups), dropped=dropped)


def _new_answers_by_prompt(
    project: Project, answers: Sequence[Answer], batch: str
) -> dict[int, list[Answer]]:
    by_prompt: dict[int, list[Answer]] = {}
    for answer in answers:
        by_prompt.setdefault(answer.prompt_id, []).append(answer)
    known: set[int] = set()
    for ids in chunks(by_prompt):
        known.update(project.prompts.filter(id__in=ids).values_list("id", flat=True))
    if missing := by_prompt.keys() - known:
        raise ServiceError(f"Prompt {min(missing)} does not belong to this project.")
    done = set(project.items.filter(batch=batch).values_list("prompt_id", flat=True))
    return {prompt: group for prompt, group in by_prompt.items() if prompt not in done}


def _sides_in_pairs(answers: Sequence[Answer]) -> list[list[Answer]]:
    sides: dict[int | None, list[Answer]] = {}
    for answer in answers:
        sides.setdefault(answer.checkpoint_id, []).append(answer)
    if len(sides) != 2 or len({len(side) for side in sides.values()}) != 1:
        raise ServiceError(
            "An evaluation takes completions of each prompt by two checkpoints, as many by the "
            "child as by the parent. Sample the same number from each."
        )
    return [list(pair) for pair in zip(*sides.values(), strict=True)]


def _distinct(answers: Sequence[Answer]) -> list[Answer]:
    """Return the answers that can be stored and that say something different from those before."""
    distinct: dict[str, Answer] = {}
    for answer in answers:
        try:
            check_text(answer.text, field="The completion", max_chars=MAX_COMPLETION_CHARS)
        except TextError:
            continue
        distinct.setdefault(same_words(answer.text), answer)
    return list(distinct.values())


def _groups(answers: list[Answer], kind: str) -> list[list[Answer]]:
    """Return what is shown together: consecutive pairs, or all of them to be ranked."""
    if kind == Kind.RANKING:
        return [answers] if len(answers) >= 2 else []
    return [answers[start : start + 2] for start in range(0, len(answers) - 1, 2)]


def _create_items(
    project: Project, groups: list[list[Answer]], *, purpose: str, batch: str, overlap: int
) -> int:
    """Create an item for each group. Return how many completions there are in them."""
    items = Item.objects.bulk_create(
        (
            Item(
                project=project,
                kind=Kind.COMPARISON if len(group) == 2 else Kind.RANKING,
                prompt_id=group[0].prompt_id,
                purpose=purpose,
                overlap=overlap,
                open_slots=overlap,
                batch=batch,
            )
            for group in groups
        ),
        batch_size=CHUNK,
    )
    completions = Completion.objects.bulk_create(
        (_completion(answer) for group in groups for answer in group), batch_size=CHUNK
    )
    shown = Item.completions.through
    item_of = (item for item, group in zip(items, groups, strict=True) for _ in group)
    shown.objects.bulk_create(
        (
            shown(item_id=item.pk, completion_id=completion.pk)
            for item, completion in zip(item_of, completions, strict=True)
        ),
        batch_size=CHUNK,
    )
    return len(completions)


def _completion(answer: Answer) -> Completion:
    by_checkpoint = answer.checkpoint_id is not None
    return Completion(
        prompt_id=answer.prompt_id,
        text=answer.text,
        origin=Completion.Origin.CHECKPOINT if by_checkpoint else Completion.Origin.IMPORTED,
        checkpoint_id=answer.checkpoint_id,
        source_name=answer.source_name,
        sampling=answer.sampling,
    )
