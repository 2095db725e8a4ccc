"""From a checkpoint to what people said, and from there to everything that learnt from it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from annotations.access import may_still_judge
from annotations.api.operations import Answer, Call, FileAnswer, IdInAddress, Operations, Query
from annotations.csv_files import as_csv
from annotations.exports import in_force, pseudonym
from training import access, board_files, selectors, services
from training.selectors import SourceRow

operations = Operations("Lineage", refusals=(services.ServiceError,))

CSV, JSONL = "text/csv", "application/jsonl"


class SourceOut(Answer):
    """A snapshot behind a checkpoint, and which checkpoint learnt from it."""

    snapshot: int
    sha256: str
    learner: int
    way: Literal["its own run", "an ancestor", "the reward model", "the reward model's zero"]
    annotations: int


class LineageOut(Answer):
    """Where a checkpoint comes from."""

    ancestors: list[int] = Field(description="The base model first, itself last.")
    sources: list[SourceOut] = Field(description="The nearest first.")


class SourceFilters(Query):
    """Which annotations, and how the file is written."""

    snapshot: IdInAddress | None = Field(None, description="One of those behind it; null: all.")
    form: Literal["jsonl", "csv"] = "jsonl"


class ShownCompletion(Answer):
    """A completion of an item, and who wrote it."""

    id: int
    checkpoint: int | None
    source_name: str
    scores: dict[str, float] = Field(description="By who or what gave them.")


class UseOut(Answer):
    """A snapshot that has an annotation, and what learnt from it."""

    snapshot: int
    learners: list[int] = Field(description="Checkpoints that a run on it made.")
    heirs: list[int] = Field(description="What stems from those, or was scored by one of them.")


class LearntFrom(Answer):
    """An annotation of an item, and what it went into."""

    annotation: int
    annotator: str
    guideline_version: int | None
    is_in_force: bool
    created_at: datetime
    uses: list[UseOut]


class ItemLineage(Answer):
    """Whose completions an item compares, and what its annotations went into."""

    item: int
    is_hidden: bool = Field(description="The owner of the token may still be asked about it.")
    completions: list[ShownCompletion] = Field(description="None while they are hidden.")
    annotations: list[LearntFrom]


@operations.get("checkpoints/<int:checkpoint_id>/lineage")
def get_lineage(call: Call, checkpoint_id: int) -> LineageOut:
    """Show where a checkpoint comes from: its ancestors, and the snapshots behind it."""
    checkpoint = access.get_checkpoint_for(call.user, checkpoint_id)
    found = selectors.sources(checkpoint)
    counts = selectors.Behind(found).counts
    return LineageOut(
        ancestors=[one.pk for one in selectors.lineage(checkpoint)],
        sources=[
            SourceOut(
                snapshot=one.snapshot.pk,
                sha256=one.snapshot.sha256,
                learner=one.learner.pk,
                way=one.way.value,
                annotations=counts.get(one.snapshot.pk, 0),
            )
            for one in found
        ],
    )


@operations.download("checkpoints/<int:checkpoint_id>/annotations", JSONL, CSV)
def download_sources(call: Call, checkpoint_id: int, query: SourceFilters) -> FileAnswer:
    """Get every annotation behind a checkpoint; people are pseudonyms."""
    checkpoint = access.get_checkpoint_for(call.user, checkpoint_id)
    found = selectors.sources(checkpoint)
    if query.snapshot is not None:
        found = [one for one in found if one.snapshot.pk == query.snapshot]
        if not found:
            raise services.ServiceError(f"{checkpoint} did not learn from that snapshot.")
    rows, name = selectors.Behind(found), f"checkpoint-{checkpoint.pk}-annotations"
    if query.form == "csv":
        return FileAnswer(f"{name}.csv", CSV, as_csv(rows, SourceRow.__annotations__))
    return FileAnswer(f"{name}.jsonl", JSONL, board_files.as_jsonl(rows))


@operations.get("items/<int:item_id>/lineage")
def get_item_lineage(call: Call, item_id: int) -> ItemLineage:
    """Show whose completions an item compares, and what learnt from its annotations.

    Who wrote what is hidden from whoever may still be asked about it.
    """
    item = access.get_item_for(call.user, item_id)
    is_hidden, uses = may_still_judge(call.user, item), selectors.uses_of_item(item)
    holding = set(item.annotations.filter(in_force()).values_list("id", flat=True))
    completions = item.completions.prefetch_related("scores").order_by("id")
    return ItemLineage(
        item=item.pk,
        is_hidden=is_hidden,
        completions=[
            ShownCompletion(
                id=one.pk,
                checkpoint=one.checkpoint_id,
                source_name=one.source_name,
                scores={score.scorer: score.score for score in one.scores.all()},
            )
            for one in ([] if is_hidden else completions)
        ],
        annotations=[
            LearntFrom(
                annotation=one.pk,
                annotator=pseudonym(one.annotator_id),
                guideline_version=one.guideline_version_id,
                is_in_force=one.pk in holding,
                created_at=one.created_at,
                uses=[
                    UseOut(
                        snapshot=use.snapshot.pk,
                        learners=[learner.pk for learner in use.learners],
                        heirs=[heir.pk for heir in use.heirs],
                    )
                    for use in uses.get(one.pk, [])
                ],
            )
            for one in item.annotations.order_by("id")
        ],
    )
