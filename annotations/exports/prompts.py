"""Prompts, and who answered."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, Exists, OuterRef

from annotations.exports.rows import CHUNK, PromptRow, current, pseudonym
from annotations.models import (
    Annotation,
    HeldOut,
    Prompt,
)


def prompts(project_id: int) -> Iterator[PromptRow]:
    """Yield every prompt of a project, by id.

    Left out is what somebody asked in the arena, and what somebody held out wrote or said.
    """
    rows = Prompt.objects.filter(project_id=project_id).order_by("id")
    theirs = HeldOut.objects.filter(project=project_id, user=OuterRef("created_by"), ended_at=None)
    rows = rows.exclude(origin=Prompt.Origin.ARENA)
    rows = rows.exclude(Exists(theirs), origin=Prompt.Origin.ANNOTATOR)
    for prompt_id, split, messages in rows.values_list("id", "split", "messages").iterator(
        chunk_size=CHUNK
    ):
        yield {"split": split, "prompt_id": prompt_id, "prompt": messages}


def prompts_by_tag(project_id: int) -> dict[str, list[int]]:
    """Return the ids of the prompts that have each tag, by tag."""
    tagged = Prompt.objects.filter(project_id=project_id).exclude(tags=[]).order_by("id")
    found: dict[str, list[int]] = {}
    for prompt_id, tags in tagged.values_list("id", "tags").iterator(chunk_size=CHUNK):
        for tag in tags:
            found.setdefault(tag, []).append(prompt_id)
    return dict(sorted(found.items()))


def annotators(project_id: int) -> list[tuple[str, int]]:
    """Return everyone whose annotations are in force, with how many those are, most first."""
    counted = (
        Annotation.objects.filter(current("", project_id))
        .values_list("annotator_id")
        .annotate(count=Count("id"))
        .order_by("-count", "annotator_id")
    )
    return [(pseudonym(annotator), count) for annotator, count in counted]
