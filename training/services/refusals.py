"""What is looked at before a run is queued, and the sentence that refuses it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from annotations import exports
from training import artifacts, selectors
from training.models import Checkpoint, DatasetSnapshot, Stage
from training.pipeline import preflight
from training.pipeline.checkpoints import damage_of
from training.pipeline.config import (
    AnyConfig,
    DPOConfig,
    KTOConfig,
    PPOConfig,
    RewardConfig,
    SampleConfig,
    SFTConfig,
    parse_config,
)
from training.pipeline.endpoint import EndpointError, check_url
from training.pipeline.errors import PipelineError
from training.pipeline.jobs import Job

if TYPE_CHECKING:
    from annotations.models import Project


Content = DatasetSnapshot.Content
CONTENT_OF = {
    Stage.SFT: Content.DEMONSTRATIONS,
    Stage.REWARD: Content.PREFERENCES,
    Stage.PPO: Content.PROMPTS,
    Stage.DPO: Content.PREFERENCES,
    Stage.KTO: Content.JUDGEMENTS,
    Stage.GRPO: Content.PROMPTS,
    Stage.RLOO: Content.PROMPTS,
    Stage.REJECTION: Content.PROMPTS,
}
SCORED = (Stage.PPO, Stage.GRPO, Stage.RLOO, Stage.REJECTION)
"""Stages that learn from what a reward model says."""
CURES = {
    Content.DEMONSTRATIONS: "Collect more demonstrations, or lower “Min rows”.",
    Content.PREFERENCES: "Collect more comparisons or rankings, or lower “Min pairs”.",
    Content.JUDGEMENTS: "Collect more comparisons or rankings, or lower “Min rows”.",
    Content.PROMPTS: "Add prompts to the project and freeze again.",
}
NAMES_OF_ROWS = {
    Content.PREFERENCES: "preference pairs",
    Content.JUDGEMENTS: "judged completions",
}


class ServiceError(Exception):
    """What was asked for can't be done; the message says why and what to do instead."""


def check_exportable(checkpoint: Checkpoint) -> None:
    """Raise ServiceError for what is no adapter on a language model, or is not whole."""
    if checkpoint.stands_alone:
        folder = artifacts.checkpoint_folder(checkpoint)
        raise ServiceError(f"{checkpoint} is a plain model already; it lies in {folder}.")
    check_checkpoint(checkpoint.project, checkpoint, "export")


def parse(stage: str, config: dict[str, Any]) -> AnyConfig:
    try:
        return parse_config(stage, config)
    except (PipelineError, TypeError) as error:
        raise ServiceError(str(error)) from None


def check_checkpoint(project: Project, checkpoint: Checkpoint, purpose: str) -> None:
    """Refuse a checkpoint of another project, a reward model, and one whose files are gone."""
    if checkpoint.project_id != project.pk:
        raise ServiceError(f"{checkpoint} belongs to another project. Choose one of {project}.")
    if checkpoint.kind == Checkpoint.Kind.REWARD:
        raise ServiceError(
            f"{checkpoint} is a reward model; choose a policy or a base model to {purpose}."
        )
    if checkpoint.is_external:
        _check_external(checkpoint, purpose)
    else:
        _check_files(checkpoint)


def _check_external(checkpoint: Checkpoint, purpose: str) -> None:
    """Refuse a server elsewhere for whatever needs its weights."""
    if purpose not in ("sample", "evaluate", "chat with"):
        raise ServiceError(
            f"{checkpoint} is an external endpoint, whose weights are not here. Choose a policy or "
            f"a base model to {purpose}."
        )
    source = artifacts.external_source(checkpoint)
    assert source is not None  # it is external
    try:
        check_url(source.url, source.allowed)
    except EndpointError as error:
        raise ServiceError(f"{checkpoint}: {error}") from None


def _check_files(checkpoint: Checkpoint) -> None:
    base = artifacts.base_of(checkpoint)
    or_service_error(partial(artifacts.check_base, artifacts.checkpoint_folder(base)))
    if checkpoint.kind == Checkpoint.Kind.BASE:
        return
    folder = artifacts.checkpoint_folder(checkpoint)
    if not folder.resolve().is_relative_to(Path(settings.ARTIFACTS_ROOT).resolve()):
        raise ServiceError(f"The files of {checkpoint} lie outside the artifact store.")
    # The files of a whole model are too large to be read here; the run does that before it starts.
    if damage := damage_of(folder, unread=checkpoint.stands_alone):
        raise ServiceError(
            f"The files of {checkpoint} are damaged: {damage} ({folder}). Restore it from a "
            "backup, or train it again."
        )


def check_nothing_recalled(snapshot: DatasetSnapshot | None) -> None:
    """Refuse to learn from a snapshot that holds annotations that were recalled since."""
    if snapshot is None:
        return
    held = selectors.reach(snapshot.project).snapshots.get(snapshot.pk, 0)
    if held:
        raise ServiceError(
            f"{held:,} of the annotations in {snapshot} {'was' if held == 1 else 'were'} recalled "
            "since it was frozen. Freeze a new one, which leaves them out."
        )


def check_snapshot(
    project: Project, stage: Stage, config: AnyConfig, snapshot: DatasetSnapshot | None
) -> None:
    wanted = CONTENT_OF[stage]
    if snapshot is None:
        raise ServiceError(f"{stage} learns from a snapshot of {wanted}. Freeze one first.")
    if snapshot.project_id != project.pk:
        raise ServiceError(f"{snapshot} belongs to another project. Choose one of {project}.")
    if snapshot.content != wanted:
        raise ServiceError(
            f"{snapshot} holds {snapshot.content}; {stage} needs {wanted}. Choose another."
        )
    rows = snapshot.counts["rows"]["train"]
    least = _least_rows(config)
    if rows < least:
        what = NAMES_OF_ROWS.get(wanted, wanted)
        raise ServiceError(
            f"{snapshot} has {rows} {what} in its train split; {stage} needs at least {least}. "
            f"{CURES[wanted]}"
        )
    if (
        isinstance(config, RewardConfig)
        and config.learn_from_ties
        and not snapshot.filters.get("ties")
    ):
        raise ServiceError(
            f"{snapshot} holds no ties to learn from. Freeze one with “Keep ties”, or turn “Learn "
            "from ties” off."
        )
    asks_people = isinstance(config, PPOConfig) and config.radar_distances
    if asks_people and not snapshot.counts["rows"]["validation"]:
        raise ServiceError(
            f"{snapshot} has no prompts in its validation split, about which “Radar KL” asks "
            "people. Add prompts and freeze again, or leave it empty."
        )
    _check_both_kinds(snapshot, rows)
    if not artifacts.snapshot_rows(snapshot).is_file():
        raise ServiceError(f"The file of {snapshot} is missing. Restore it, or freeze a new one.")


def _check_both_kinds(snapshot: DatasetSnapshot, rows: int) -> None:
    """Refuse judgements that are all alike: there is nothing to tell apart."""
    if snapshot.content != Content.JUDGEMENTS:
        return
    good = snapshot.counts["good"]["train"]
    if good in (0, rows):
        found, lacking = ("good", "bad") if good else ("bad", "good")
        raise ServiceError(
            f"All {rows} completions in the train split of {snapshot} were judged {found}; kto "
            f"learns from {found} beside {lacking} ones. Collect judgements of {lacking} "
            "completions and freeze again."
        )


def _least_rows(config: AnyConfig) -> int:
    match config:
        case SFTConfig() | KTOConfig():
            return config.min_rows
        case RewardConfig() | DPOConfig():
            return config.min_pairs
    return 1


def check_reward_model(
    project: Project, stage: Stage, parent: Checkpoint, reward: Checkpoint | None
) -> None:
    if reward is None:
        raise ServiceError(
            f"{stage} needs a reward model to score with. Train one, then choose it here."
        )
    if reward.project_id != project.pk:
        raise ServiceError(f"{reward} belongs to another project. Choose one of {project}.")
    if reward.kind != Checkpoint.Kind.REWARD:
        raise ServiceError(f"{reward} is not a reward model. Choose one that is.")
    if artifacts.base_of(reward).pk != artifacts.base_of(parent).pk:
        raise ServiceError(
            f"{reward} and {parent} stem from different base models, but share one copy of it in "
            f"{stage}. Train the reward model on the policy's base."
        )
    _check_files(reward)


def scorer_of_best(
    project: Project, config: AnyConfig, policy: Checkpoint, reward: Checkpoint | None
) -> Checkpoint | None:
    """Return the reward model that chooses among candidates; None where there is no choice."""
    if not isinstance(config, SampleConfig) or config.best_of == 1:
        return None
    if policy.is_external:
        raise ServiceError(
            f"{policy} is an external endpoint; its answers are taken as they come. Set best_of to "
            "1."
        )
    if reward is None:
        raise ServiceError(
            f"The best of {config.best_of} is what a reward model scores highest. Choose a reward "
            "model, or set best_of to 1."
        )
    check_reward_model(project, Stage.SAMPLE, policy, reward)
    return reward


def check_job(job: Job) -> None:
    """Refuse what the child would refuse before it loads anything.

    Its memory is known where it runs on this machine, which the broker of one's own tells.
    """
    or_service_error(partial(preflight.check_files, job))
    or_service_error(partial(preflight.check_disk, job))
    if settings.EMBEDDED_BROKER:
        or_service_error(partial(preflight.check_memory, job))


def prompt_ids_of(project: Project, prompts: Iterable[Any]) -> list[int]:
    wanted = {getattr(prompt, "pk", prompt) for prompt in prompts}
    known = sorted(
        row["prompt_id"] for row in exports.prompts(project.pk) if row["prompt_id"] in wanted
    )
    if not wanted:
        raise ServiceError("No prompts were chosen. Choose at least one.")
    if len(known) < len(wanted):
        raise ServiceError(
            f"{len(wanted) - len(known)} of the prompts are not in this project. Choose again."
        )
    return known


def or_service_error(check: Any) -> None:
    try:
        check()
    except PipelineError as error:
        raise ServiceError(str(error)) from None
