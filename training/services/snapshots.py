"""Freezing what people said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from training import snapshots
from training.models import DatasetSnapshot
from training.services.refusals import ServiceError

if TYPE_CHECKING:
    from annotations.models import Project, User


Content = DatasetSnapshot.Content


def freeze_snapshot(
    project: Project,
    content: str,
    *,
    created_by: User,
    seed: int = 0,
    filters: dict[str, Any] | None = None,
) -> DatasetSnapshot:
    """Freeze demonstrations, preferences, judgements or prompts into an immutable snapshot.

    `filters`: `limit` (most rows of each split, drawn by `seed`), `no_personal_data` (true leaves
    out what `annotations.algorithms.personal_data` finds), `leave_out_annotators` (pseudonyms),
    `ties` (true keeps them as rows of their own), `votes` (majority or weighted: see
    `training.aggregation`, whose report is counts["votes"]). counts = {"rows": {"train",
    "validation", "test"}, "prompts": {the same}, "annotations", "annotators", "ties", "both_bad",
    "left_out": {reason: rows}}, and "tie_rows" where ties were kept; of judgements "good", per
    split, as well.
    """
    try:
        return snapshots.freeze(
            project, content, created_by=created_by, seed=seed, filters=filters or {}
        )
    except snapshots.SnapshotError as error:
        raise ServiceError(str(error)) from None
    except OSError as error:
        raise ServiceError(
            f"The snapshot could not be written ({error.strerror or error}). "
            "Nothing was kept of it; free some space and freeze again."
        ) from error
