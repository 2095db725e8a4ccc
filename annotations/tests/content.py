"""What a project holds, told without a number of a row, so that two projects can be compared."""

from __future__ import annotations

import json
from typing import Any

from annotations import exports
from annotations.models import Annotation, Completion, Project, User


def content_of(project: Project) -> list[str]:
    """Return a line for every row of prompts, completions, items, annotations and people.

    The lines of each table are in the order in which their rows were made.
    """
    completions = Completion.objects.filter(prompt__project=project)
    questions = project.rating_schemes.filter(published_at__isnull=False)
    return [
        *_lines(
            "prompt",
            project.prompts.order_by("id").values_list("messages", "external_id", "tags", "split"),
        ),
        *_lines(
            "completion",
            completions.order_by("id").values_list(
                "prompt__content_hash", "text", "origin", "source_name"
            ),
        ),
        *_lines(
            "item",
            (
                [*item[1:], sorted(_texts_of(item[0]))]
                for item in project.items.order_by("id").values_list(
                    "id", "kind", "fingerprint", "overlap", "open_slots", "rating_scheme__questions"
                )
            ),
        ),
        *_lines("annotation", said_in(project)),
        *_lines("person", ([one] for one in sorted(_people(project).values()))),
        *_lines("held out", project.held_out.order_by("id").values_list("ended_at")),
        *_lines("questions", questions.order_by("version").values_list("questions")),
    ]


def said_in(project: Project) -> list[dict[str, Any]]:
    """Return what everybody said, by the texts that it is about."""
    people = _people(project)
    return [_told(row, people) for row in exports.EXPORTS["annotations"].rows(project)]


def _told(row: dict[str, Any], people: dict[str, str]) -> dict[str, Any]:
    texts = {one["id"]: one["text"] for one in row["completions"]}
    said = dict(row["said"])
    for name in ("left", "right", "original"):
        if name in said:
            said[name] = texts[said[name]]
    if "tiers" in said:
        said["tiers"] = [sorted(texts[one] for one in tier) for tier in said["tiers"]]
    if "answers" in said:
        said["answers"] = {texts[int(one)]: given for one, given in said["answers"].items()}
    told = {name: row[name] for name in ("kind", "prompt", "tags", "reason", "wall_ms", "held_out")}
    shown = [texts[one] for one in row["shown_order"]]
    return {**told, "annotator": people[row["annotator"]], "said": said, "shown": shown}


def _people(project: Project) -> dict[str, str]:
    """Return who annotated, by pseudonym; imported people by the names that their file has."""
    annotators = Annotation.objects.filter(item__project=project).values("annotator")
    return {
        exports.pseudonym(one.pk): one.username.removeprefix(f"imported-{project.pk}-")
        for one in User.objects.filter(id__in=annotators)
    }


def _texts_of(item_id: int) -> list[str]:
    shown = Completion.objects.filter(items=item_id)
    return list(shown.values_list("text", flat=True))


def _lines(table: str, rows: Any) -> list[str]:
    return [f"{table} {json.dumps(row, sort_keys=True, default=str)}" for row in rows]
