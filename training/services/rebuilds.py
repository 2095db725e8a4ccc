"""Making a checkpoint once more, to see whether the same comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training import artifacts, store
from training.models import Checkpoint, Run
from training.pipeline.radar import FOLDER, ORDER, stop_order
from training.services.refusals import ServiceError
from training.services.runs import start_run

if TYPE_CHECKING:
    from annotations.models import User


def rebuild(checkpoint: Checkpoint, *, started_by: User) -> Run:
    """Queue the run of a checkpoint again: the same settings, seed, snapshot and parent."""
    original = checkpoint.run
    if original is None:
        raise ServiceError(f"No run made {checkpoint}, so there is nothing to repeat.")
    store.refresh(artifacts.work_folder(original), f"{FOLDER}/{ORDER}")
    if stop_order(artifacts.work_folder(original)) is not None:
        raise ServiceError(
            f"{original} ended because people parted from its reward. A copy asks nobody and would "
            "go on past that; start a new run with its settings instead."
        )
    config = {name: value for name, value in original.config.items() if name != "stage"}
    return start_run(
        checkpoint.project,
        original.stage,
        config,
        parent=original.parent,
        snapshot=original.snapshot,
        reward_checkpoint=original.reward_checkpoint,
        started_by=started_by,
        rebuilds=checkpoint,
    )
