"""The rows, and what all of them are made of."""

from __future__ import annotations

from typing import Any, TypedDict

from django.db.models import Q, QuerySet

from annotations.algorithms.preferences import (
    margin_for,
)
from annotations.models import (
    Adjudication,
    Annotation,
    Item,
    Message,
    Project,
    counted,
    held_out,
)

CHUNK = 2000
Side = tuple[int, str]
"""A completion's id and text."""


class AnnotatedRow(TypedDict):
    """What somebody did about a prompt, and what they had read before."""

    split: str
    prompt_id: int
    annotation_id: int
    annotator: str
    guideline_version: int | None
    prompt: list[Message]


class DemonstrationRow(AnnotatedRow):
    """An ideal answer to a prompt: written, rewritten or put together by a person.

    Where a reviewer fixed the text, the row is the reviewer's, and `fixes` is what they fixed.
    """

    completion: list[Message]
    kind: str
    fixes: int | None


class PreferenceRow(AnnotatedRow):
    """Two answers to a prompt, one of which somebody preferred."""

    chosen: list[Message]
    rejected: list[Message]
    margin: float
    strength: str
    chosen_id: int
    rejected_id: int


class TieRow(PreferenceRow):
    """Two answers, neither of them better to somebody; which is "chosen" means nothing."""

    tie: bool


class JudgedRow(AnnotatedRow):
    """One answer to a prompt that somebody judged to be good (`label`) or bad."""

    completion: list[Message]
    completion_id: int
    label: bool


class RatingRow(AnnotatedRow):
    """What somebody answered about one completion: a point of each scale, 1 or 0 for each flag."""

    completion: list[Message]
    completion_id: int
    kind: str
    questions_version: int
    answers: dict[str, int]


class PromptRow(TypedDict):
    """A prompt to sample completions for."""

    split: str
    prompt_id: int
    prompt: list[Message]


class BattleRow(TypedDict):
    """A blind comparison between the completions of two checkpoints."""

    annotation_id: int
    item_id: int
    prompt_id: int
    annotator: str
    left_checkpoint_id: int | None
    right_checkpoint_id: int | None
    outcome: str
    strength: str


def preference_row(
    row: dict[str, Any],
    path: str,
    chosen: tuple[int, str],
    rejected: tuple[int, str],
    *,
    strength: str,
) -> PreferenceRow:
    return {
        "split": row[f"{path}item__prompt__split"],
        "prompt_id": row[f"{path}item__prompt_id"],
        "annotation_id": row[f"{path}id"],
        "annotator": pseudonym(row[f"{path}annotator_id"]),
        "guideline_version": row[f"{path}guideline_version__version"],
        "prompt": row[f"{path}item__prompt__messages"],
        "chosen": as_messages(chosen[1]),
        "rejected": as_messages(rejected[1]),
        "margin": margin_for(strength),
        "strength": strength,
        "chosen_id": chosen[0],
        "rejected_id": rejected[0],
    }


def current(path: str, project_id: int) -> Q:
    """Return the condition that the annotation at `path` is of the project and counts in it.

    Annotations count that are in force and not recalled.
    """
    return counted(path, project_id) & Q(**{f"{path}item__project_id": project_id})


def counted_annotations(project_id: int) -> QuerySet[Annotation]:
    """Return the annotations that count in a project."""
    return Annotation.objects.filter(current("", project_id))


def for_training(path: str, project_id: int) -> Q:
    """Return the condition that an annotation is learned from.

    Of the arena that is a vote that nothing speaks against, where the project wants them. Nothing
    that somebody held out has done is, not even their reviews of what others wrote.
    """
    learned = Q(**{f"{path}item__purpose": Item.Purpose.TRAINING})
    if Project.objects.filter(id=project_id, learns_from_arena=True).exists():
        learned |= Q(
            **{f"{path}item__purpose": Item.Purpose.ARENA, f"{path}assignment__battle__marks": []}
        )
    wanted = current(path, project_id) & learned & _adjudicated(path, project_id)
    return Q(wanted, ~held_out(path))


def _adjudicated(path: str, project_id: int) -> Q:
    """Return the condition that a decision about an item counts for what the project wants.

    Instead of the votes: of an item that is decided, the reference annotation alone.
    """
    decided = Adjudication.objects.filter(
        counted("reference__", project_id), ~held_out("reference__"), item__project=project_id
    )
    if not decided.exists():
        return Q()
    is_vote = votes_only(path)
    match Project.objects.values_list("adjudicated", flat=True).get(id=project_id):
        case Project.Adjudicated.INSTEAD:
            return ~is_vote | ~Q(**{f"{path}item__in": decided.values("item")})
        case Project.Adjudicated.ASIDE:
            return is_vote
    return Q()


def votes_only(path: str) -> Q:
    """Return the condition that the annotation at `path` is no decision about what others said."""
    return Q(**{f"{path}adjudication__isnull": True})


def source_fields(path: str) -> list[str]:
    return [
        f"{path}id",
        f"{path}annotator_id",
        f"{path}guideline_version__version",
        f"{path}item__prompt_id",
        f"{path}item__prompt__split",
        f"{path}item__prompt__messages",
    ]


def pseudonym(annotator_id: int) -> str:
    return f"annotator-{annotator_id}"


def as_messages(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}]
