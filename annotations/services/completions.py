"""Completions that people are asked about: the one door from training to the queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from annotations.algorithms.fingerprints import fingerprint_of
from annotations.algorithms.text import MAX_COMPLETION_CHARS, TextError, check_text, same_words
from annotations.importers import Messages
from annotations.models import Completion, Item, Kind, Project, RatingScheme
from annotations.services.rating_schemes import scheme_for_ratings, scheme_in_force
from annotations.services.rules import CHUNK, MAX_OVERLAP, ServiceError, chunks, lock

SHOWING_KINDS = (Kind.COMPARISON, Kind.RANKING, Kind.RATING, Kind.REWRITE, Kind.ASSEMBLY)

MOST_SHOWN = 9
"""Completions on a page of ratings or of an assembly: nobody reads more of them side by side."""


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
    equal_prompts: list[int] = field(default_factory=list)
    """Of an evaluation, the prompt of each pair whose texts are equal, as often as people would
    have been asked: a tie that nobody has to judge."""
    empty_answers: list[tuple[int, int]] = field(default_factory=list)
    """Of an evaluation, the prompt of each pair in which one answer is empty, and the checkpoint
    that left it so and loses by it, as often as people would have been asked."""


@transaction.atomic
def add_completions(
    project: Project,
    answers: Sequence[Answer],
    *,
    kind: str,
    purpose: str = Item.Purpose.TRAINING,
    batch: str,
    overlap: int | None = None,
    priority: int = 0,
) -> AddedItems:
    """Ask people about answers: in pairs, all of a prompt together, or one by one.

    Answers of one prompt that differ in whitespace alone are one answer. A prompt that already has
    items of this batch gets no more, so that doing it again adds nothing. For an evaluation a
    prompt has as many answers by the child as by the parent; the first of each make a pair, the
    second of each the next. Nobody is asked what is certain: two equal texts are a tie, and an
    empty answer loses against one that says something. Items of a higher priority are asked first.
    """
    if kind not in SHOWING_KINDS:
        raise ServiceError(
            "Completions are compared or ranked, rated, rewritten or assembled; "
            f"“{kind}” is none of these."
        )
    if not batch:
        raise ServiceError("Name the batch, so that the same answers are not added twice.")
    overlap = project.comparison_overlap if overlap is None else overlap
    if not 1 <= overlap <= MAX_OVERLAP:
        raise ServiceError(f"Choose an overlap from 1 to {MAX_OVERLAP}.")
    lock(project)
    making = _Making(project, kind, purpose, batch, overlap, priority)
    groups: list[list[Answer]] = []
    dropped, equal, empty = 0, [], []
    for prompt_id, same_prompt in _new_answers_by_prompt(project, answers, batch).items():
        if purpose == Item.Purpose.EVALUATION:
            pairs = [pair for pair in _sides_in_pairs(same_prompt) if all(map(_is_storable, pair))]
            unequal = [pair for pair in pairs if not _is_equal(*pair)]
            found = [pair for pair in unequal if not any(map(_is_empty, pair))]
            equal += [prompt_id] * overlap * (len(pairs) - len(unequal))
            empty += [
                (prompt_id, answer.checkpoint_id)
                for pair in unequal
                for answer in pair
                if _is_empty(answer) and answer.checkpoint_id is not None
            ] * overlap
            dropped += len(same_prompt) - 2 * len(pairs)
        else:
            found = _groups(_distinct(same_prompt), kind)
            dropped += len(same_prompt) - sum(len(group) for group in found)
        groups += found
    completions = _create_items(making, groups)
    return AddedItems(completions, len(groups), dropped, equal, empty)


@dataclass(frozen=True)
class _Making:
    """What the items of one call have in common."""

    project: Project
    kind: str
    purpose: str
    batch: str
    overlap: int
    priority: int


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


def _is_equal(first: Answer, second: Answer) -> bool:
    return first.text.strip() == second.text.strip()


def _is_empty(answer: Answer) -> bool:
    return not answer.text.strip()


def _is_storable(answer: Answer) -> bool:
    try:
        check_text(answer.text, field="The completion", max_chars=MAX_COMPLETION_CHARS)
    except TextError:
        return False
    return True


def _distinct(answers: Sequence[Answer]) -> list[Answer]:
    """Return the answers that can be stored and that say something different from those before."""
    distinct: dict[str, Answer] = {}
    for answer in filter(_is_storable, answers):
        distinct.setdefault(same_words(answer.text), answer)
    return list(distinct.values())


def _groups(answers: list[Answer], kind: str) -> list[list[Answer]]:
    """Return what is shown together: consecutive pairs, all of them, or each on its own."""
    match kind:
        case Kind.REWRITE:
            return [[answer] for answer in answers]
        case Kind.RATING:
            return _of_size(answers, MOST_SHOWN, least=1)
        case Kind.ASSEMBLY:
            return _of_size([a for a in answers if a.text.strip()], MOST_SHOWN, least=2)
        case Kind.RANKING:
            return [answers] if len(answers) >= 2 else []
    return _of_size(answers, 2, least=2)


def _of_size(answers: list[Answer], size: int, *, least: int) -> list[list[Answer]]:
    groups = (answers[start : start + size] for start in range(0, len(answers), size))
    return [group for group in groups if len(group) >= least]


def _create_items(making: _Making, groups: list[list[Answer]]) -> int:
    """Create an item for each group. Return how many completions there are in them."""
    messages = _messages(making.project, groups)
    scheme = _scheme(making)
    items = Item.objects.bulk_create(
        (_item(making, group, messages[group[0].prompt_id], scheme) for group in groups),
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


def _item(
    making: _Making,
    group: Sequence[Answer],
    messages: Messages,
    scheme: RatingScheme | None,
) -> Item:
    # Two that are left of a ranking are compared: the strength says more than their order.
    is_pair = making.kind == Kind.RANKING and len(group) == 2
    kind = Kind.COMPARISON if is_pair else making.kind
    return Item(
        project=making.project,
        kind=kind,
        prompt_id=group[0].prompt_id,
        purpose=making.purpose,
        overlap=making.overlap,
        open_slots=making.overlap,
        priority=making.priority,
        batch=making.batch,
        fingerprint=fingerprint_of(kind, messages, [answer.text for answer in group]),
        rating_scheme=scheme if kind in (Kind.RATING, Kind.RANKING) else None,
    )


def _messages(project: Project, groups: Sequence[Sequence[Answer]]) -> dict[int, Messages]:
    found: dict[int, Messages] = {}
    for ids in chunks({group[0].prompt_id for group in groups}):
        for prompt in project.prompts.filter(id__in=ids).only("messages"):
            turns = ({"role": m["role"], "content": m["content"]} for m in prompt.messages)
            found[prompt.pk] = tuple(turns)
    return found


def _scheme(making: _Making) -> RatingScheme | None:
    """Return the questions of a rating, or those that a ranking asks first."""
    if making.kind == Kind.RATING:
        return scheme_for_ratings(making.project)
    scheme = scheme_in_force(making.project)
    return scheme if scheme and scheme.before_ranking else None


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
