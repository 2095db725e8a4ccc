"""Prompts, and who answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from django.db.models import Count, Exists, OuterRef, Q, TextField
from django.db.models.functions import Cast

from annotations.exports.rows import CHUNK, PromptRow, current, pseudonym
from annotations.kept import Made, keep_up, recall
from annotations.models import (
    Annotation,
    HeldOut,
    Project,
    Prompt,
)

ANNOTATORS = "annotators"


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


def tags(project_id: int) -> list[str]:
    """Return the tags that a project's prompts have, in their order."""
    lists = Prompt.objects.filter(project_id=project_id).order_by().values_list("tags", flat=True)
    return sorted({tag for together in lists.distinct() for tag in together})


def prompts_with_tag(project_id: int, tag: str) -> list[int]:
    """Return the ids of the prompts that have a tag."""
    rows = Prompt.objects.filter(project_id=project_id).annotate(words=Cast("tags", TextField()))
    # One database writes letters beyond ASCII as they are, the other one does not.
    written = [json.dumps(tag, ensure_ascii=is_ascii) for is_ascii in (True, False)]
    rows = rows.filter(Q(words__contains=written[0]) | Q(words__contains=written[1]))
    found = rows.order_by("id").values_list("id", "tags").iterator(chunk_size=CHUNK)
    return [prompt_id for prompt_id, together in found if tag in together]


def annotators(project: Project) -> tuple[list[tuple[str, int]], datetime | None]:
    """Return everyone whose annotations count, with how many those are, most first.

    Of a large project as it was counted in the background, and when that was.
    """
    kept: Made[list[tuple[str, int]]] | None = recall(project, ANNOTATORS)
    return (kept.value, kept.made_at) if kept else (_annotators(project.pk), None)


def keep_annotators(project: Project) -> None:
    """Count who has annotated in a large project, unless that was done a while ago only."""
    keep_up(project, ANNOTATORS, lambda: _annotators(project.pk))


def _annotators(project_id: int) -> list[tuple[str, int]]:
    counted = (
        Annotation.objects.filter(current("", project_id))
        .values_list("annotator_id")
        .annotate(count=Count("id"))
        .order_by("-count", "annotator_id")
    )
    return [(pseudonym(annotator), count) for annotator, count in counted]
