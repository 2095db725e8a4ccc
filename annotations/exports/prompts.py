"""Prompts, and who answered."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count

from annotations.exports.rows import CHUNK, PromptRow, current, pseudonym
from annotations.models import (
    Annotation,
    Prompt,
)


def prompts(project_id: int) -> Iterator[PromptRow]:
    """Yield every prompt of a project, by id."""
    rows = Prompt.objects.filter(project_id=project_id).order_by("id")
    for prompt_id, split, messages in rows.values_list("id", "split", "messages").iterator(
        chunk_size=CHUNK
    ):
        yield {"split": split, "prompt_id": prompt_id, "prompt": messages}


def annotators(project_id: int) -> list[tuple[str, int]]:
    """Return everyone whose annotations are in force, with how many those are, most first."""
    counted = (
        Annotation.objects.filter(current("", project_id))
        .values_list("annotator_id")
        .annotate(count=Count("id"))
        .order_by("-count", "annotator_id")
    )
    return [(pseudonym(annotator), count) for annotator, count in counted]
