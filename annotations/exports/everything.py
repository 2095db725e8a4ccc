"""Every annotation with all that is known of it, whether it counts or not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.db.models import Exists, F, OuterRef, QuerySet

from annotations.exports.rows import pseudonym
from annotations.models import (
    Annotation,
    AssemblyPart,
    Completion,
    ConversationChoice,
    Project,
    RankedCompletion,
    RatingAnswer,
    held_out,
    recalled,
)

AT_ONCE = 1000
TEXTS = ("demonstration", "rewrite", "assembly", "review")


def all_annotations(project: Project) -> Iterator[dict[str, Any]]:
    """Yield every annotation by id: superseded, retracted and recalled ones say that they are.

    Who wrote a completion is named, annotators by their pseudonyms alone.
    """
    # One query, read as it goes: asked for in pieces it would be sorted for each of them.
    rows = _annotations(project).iterator(chunk_size=AT_ONCE)
    while chunk := list(islice(rows, AT_ONCE)):
        parts = _Parts([row["id"] for row in chunk], chunk)
        for row in chunk:
            yield _row(row, parts)


def _annotations(project: Project) -> QuerySet[Annotation, dict[str, Any]]:
    return (
        Annotation.objects.filter(item__project=project)
        .annotate(
            is_recalled=Exists(
                Annotation.objects.filter(recalled("", project.pk), pk=OuterRef("pk"))
            ),
            is_held_out=held_out(),
            taken_back=F("retraction__created_at"),
            superseded_by_id=F("superseded_by__id"),
        )
        .order_by("id")
        .values(
            "id",
            "kind",
            "annotator_id",
            "reason",
            "shown_order",
            "supersedes_id",
            "superseded_by_id",
            "taken_back",
            "is_recalled",
            "is_held_out",
            "surplus",
            "wall_ms",
            "active_ms",
            "created_at",
            "guideline_version__kind",
            "guideline_version__version",
            "item_id",
            "item__purpose",
            "item__batch",
            "item__prompt_id",
            "item__prompt__split",
            "item__prompt__messages",
            "item__prompt__tags",
            "item__prompt__external_id",
            "comparison__left_id",
            "comparison__right_id",
            "comparison__outcome",
            "comparison__strength",
            "rating__scheme__version",
            "rewrite__original_id",
            "review__subject_id",
            "review__decision",
            *(f"{kind}__completion__text" for kind in TEXTS),
        )
    )


class _Parts:
    """What hangs on a chunk of annotations, by annotation; and the completions they speak of."""

    def __init__(self, ids: list[int], rows: list[dict[str, Any]]) -> None:
        self.tiers = _tiers(ids)
        self.answers = _answers(ids)
        self.parts: dict[int, list[dict[str, int]]] = defaultdict(list)
        parts = AssemblyPart.objects.filter(assembly__in=ids).order_by("position")
        for assembly, source, start, end in parts.values_list(
            "assembly_id", "source_id", "start", "end"
        ):
            self.parts[assembly].append({"source": source, "start": start, "end": end})
        self.choices: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for choice in ConversationChoice.objects.filter(conversation__in=ids).order_by("position"):
            self.choices[choice.conversation_id].append(
                {
                    "prompt_id": choice.prompt_id,
                    "left": choice.left_id,
                    "right": choice.right_id,
                    "outcome": choice.outcome,
                    "strength": choice.strength,
                }
            )
        mentioned = {one for row in rows for one in [*row["shown_order"], *_mentioned(row, self)]}
        self.completions = _completions(sorted(mentioned))


def _tiers(ids: list[int]) -> dict[int, dict[int, list[int]]]:
    tiers: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    ranked = RankedCompletion.objects.filter(ranking__in=ids).order_by("tier", "id")
    for ranking, tier, completion in ranked.values_list("ranking_id", "tier", "completion_id"):
        tiers[ranking][tier].append(completion)
    return tiers


def _answers(ids: list[int]) -> dict[int, dict[str, dict[str, int]]]:
    found: dict[int, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    answers = RatingAnswer.objects.filter(rating__in=ids).order_by("id")
    for rating, completion, question, value in answers.values_list(
        "rating_id", "completion_id", "question", "value"
    ):
        found[rating][str(completion)][question] = value
    return found


def _completions(ids: list[int]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for start in range(0, len(ids), AT_ONCE):
        for one in Completion.objects.filter(id__in=ids[start : start + AT_ONCE]):
            found[one.pk] = {
                "id": one.pk,
                "text": one.text,
                "origin": one.origin,
                "author": pseudonym(one.author_id) if one.author_id else None,
                "checkpoint": one.checkpoint_id,
                "source_name": one.source_name,
                "sampling": one.sampling,
            }
    return found


def _row(row: dict[str, Any], parts: _Parts) -> dict[str, Any]:
    said = _said(row, parts)
    about = dict.fromkeys([*row["shown_order"], *_mentioned(row, parts)])
    return {
        "annotation_id": row["id"],
        "kind": row["kind"],
        "annotator": pseudonym(row["annotator_id"]),
        "said": said,
        "reason": row["reason"],
        "completions": [parts.completions[one] for one in about if one in parts.completions],
        "shown_order": row["shown_order"],
        "prompt_id": row["item__prompt_id"],
        "prompt": row["item__prompt__messages"],
        "split": row["item__prompt__split"],
        "tags": row["item__prompt__tags"],
        "external_id": row["item__prompt__external_id"],
        "item_id": row["item_id"],
        "purpose": row["item__purpose"],
        "batch": row["item__batch"],
        "guidelines": row["guideline_version__kind"],
        "guideline_version": row["guideline_version__version"],
        "supersedes": row["supersedes_id"],
        "superseded_by": row["superseded_by_id"],
        "taken_back_at": _moment(row["taken_back"]),
        "recalled": row["is_recalled"],
        "held_out": row["is_held_out"],
        "surplus": row["surplus"],
        "wall_ms": row["wall_ms"],
        "active_ms": row["active_ms"],
        "created_at": _moment(row["created_at"]),
    }


def _said(row: dict[str, Any], parts: _Parts) -> dict[str, Any]:
    number = row["id"]
    said: dict[str, Any] = {}
    if row["comparison__outcome"]:
        said |= {
            "left": row["comparison__left_id"],
            "right": row["comparison__right_id"],
            "outcome": row["comparison__outcome"],
            "strength": row["comparison__strength"],
        }
    if parts.tiers.get(number):
        said["tiers"] = [tier for _, tier in sorted(parts.tiers[number].items())]
    if row["rating__scheme__version"] is not None:
        said |= {
            "questions_version": row["rating__scheme__version"],
            "answers": {one: dict(given) for one, given in parts.answers[number].items()},
        }
    if row["review__decision"]:
        said |= {"decision": row["review__decision"], "subject": row["review__subject_id"]}
    if row["rewrite__original_id"]:
        said["original"] = row["rewrite__original_id"]
    texts = (row[f"{kind}__completion__text"] for kind in TEXTS)
    if (text := next((one for one in texts if one is not None), None)) is not None:
        said["text"] = text
    if parts.parts.get(number):
        said["parts"] = parts.parts[number]
    if parts.choices.get(number):
        said["choices"] = parts.choices[number]
    return said


def _mentioned(row: dict[str, Any], parts: _Parts) -> list[int]:
    number = row["id"]
    names = ("comparison__left_id", "comparison__right_id", "rewrite__original_id")
    found = [row[name] for name in names if row[name]]
    found += [one for tier in parts.tiers[number].values() for one in tier]
    found += map(int, parts.answers[number])
    for choice in parts.choices[number]:
        found += (choice["left"], choice["right"])
    return found


def _moment(value: Any) -> str | None:
    return value.isoformat() if value else None
