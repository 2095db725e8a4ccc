"""What a reward model reads to weigh open items: the items, and what it has learned already."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

from annotations import exports
from annotations import services as annotation_services
from training.models import Run

MOST_KNOWN = 500
"""Answered pairs that are read again, drawn from all; each stands for so many more."""


def rows_of(run: Run) -> Iterator[dict[str, Any]]:
    """Yield the pairs that people have judged, then the open items that the model would learn from.

    The same run draws the same of the same annotations.
    """
    yield from _known(run)
    for kind in run.request["kinds"]:
        for row in annotation_services.open_questions(run.project, kind):
            if row["learns"]:
                yield {
                    "item": row["item_id"],
                    "kind": kind,
                    "prompt": row["prompt"],
                    "ids": [one["id"] for one in row["completions"]],
                    "texts": [one["text"] for one in row["completions"]],
                    "seconds": row["seconds"],
                }


def _known(run: Run) -> Iterable[dict[str, Any]]:
    kept: list[exports.PreferenceRow] = []
    rng, seen = random.Random(run.pk), 0
    for row in exports.preferences(run.project_id):
        if row["split"] != "train":
            continue
        seen += 1
        if len(kept) < MOST_KNOWN:
            kept.append(row)
        elif (place := rng.randrange(seen)) < MOST_KNOWN:
            kept[place] = row
    for row in kept:
        yield {
            "prompt": row["prompt"],
            "texts": [row["chosen"][0]["content"], row["rejected"][0]["content"]],
            "answers": seen / len(kept),
        }
