"""Every write of training that a person or a program asks for. Each refuses with a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now
from django.http import Http404

from annotations import access, exports
from annotations import services as collecting
from training import artifacts, lifecycle, selectors, snapshots, tasks
from training.models import Checkpoint, DatasetSnapshot, Evaluation, Promotion, Round, Run, Stage
from training.pipeline import preflight
from training.pipeline.checkpoints import has_files, is_whole
from training.pipeline.config import (
    AnyConfig,
    DPOConfig,
    Job,
    KTOConfig,
    RewardConfig,
    SampleConfig,
    SFTConfig,
    parse_config,
)
from training.pipeline.errors import PipelineError

if TYPE_CHECKING:
    from annotations.models import Project, User

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
KINDS_OF_WORK = ("comparison", "ranking", "rating", "rewrite", "assembly")
"""What sampled completions can become."""
KINDS_OF_ONE = ("rating", "rewrite")
"""Those that a single completion of a prompt is enough for."""
ROUND_FIELDS = {
    Stage.SAMPLE: "sample_run",
    Stage.REWARD: "reward_run",
    Stage.PPO: "policy_run",
    Stage.DPO: "policy_run",
    Stage.KTO: "policy_run",
    Stage.GRPO: "policy_run",
    Stage.RLOO: "policy_run",
    Stage.REJECTION: "policy_run",
}
LONGEST_NAME = 100
NAMES_OF_RUNS = re.compile(rf"({'|'.join(Stage.values)})-\d+")


class ServiceError(Exception):
    """What was asked for can't be done; the message says why and what to do instead."""


def register_base(
    project: Project, path: str, name: str = "SmolLM2-135M-Instruct", *, created_by: User
) -> Checkpoint:
    """Record a base model's folder as a checkpoint to start from. Repeating it is harmless."""
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or "\0" in name or NAMES_OF_RUNS.fullmatch(name):
        raise ServiceError(
            f"Choose a name of 1 to {LONGEST_NAME} characters that is not like a run's (sft-1)."
        )
    if "\0" in str(path) or not Path(path).is_absolute() or len(str(path)) > 500:
        raise ServiceError("Give the whole path of the model's folder, from / on.")
    folder = Path(path).resolve()
    _or_service_error(partial(artifacts.check_base, folder))
    checkpoint, is_new = Checkpoint.objects.get_or_create(
        project=project,
        name=name,
        defaults={
            "kind": Checkpoint.Kind.BASE,
            "path": str(folder),
            "manifest": {"registered_by": created_by.pk},
        },
    )
    if not is_new and checkpoint.path != str(folder):
        raise ServiceError(f"There is a checkpoint called {name} already. Choose another name.")
    return checkpoint


def freeze_snapshot(
    project: Project,
    content: str,
    *,
    created_by: User,
    seed: int = 0,
    filters: dict[str, Any] | None = None,
) -> DatasetSnapshot:
    """Freeze demonstrations, preferences, judgements or prompts into an immutable snapshot.

    `filters`: `limit` (most rows of each split, drawn by `seed`), `leave_out_annotators`
    (pseudonyms), `ties` (true keeps them as rows of their own). counts = {"rows": {"train",
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


@transaction.atomic
def start_run(
    project: Project,
    stage: str,
    config: dict[str, Any],
    *,
    parent: Checkpoint,
    snapshot: DatasetSnapshot | None,
    reward_checkpoint: Checkpoint | None = None,
    started_by: User,
) -> Run:
    """Queue a training run, of any stage but sample, on a frozen snapshot."""
    if stage not in CONTENT_OF:
        raise ServiceError(f"Choose a stage of {', '.join(CONTENT_OF)}, not {stage!r}.")
    parsed = _parse(stage, config)
    _check_checkpoint(project, parent, "start from")
    _check_snapshot(project, Stage(stage), parsed, snapshot)
    if stage in SCORED:
        _check_reward_model(project, Stage(stage), parent, reward_checkpoint)
    else:
        reward_checkpoint = None
    job = artifacts.job_to_be(
        project.pk, parsed, parent=parent, snapshot=snapshot, reward_checkpoint=reward_checkpoint
    )
    _check_job(job)
    return _queue(
        project,
        stage,
        parsed,
        parent=parent,
        snapshot=snapshot,
        reward_checkpoint=reward_checkpoint,
        started_by=started_by,
    )


@transaction.atomic
def request_completions(
    project: Project,
    *,
    checkpoint: Checkpoint,
    prompts: Iterable[Any],
    completions_per_prompt: int,
    kind: str,
    started_by: User,
    config: dict[str, Any] | None = None,
    reward_checkpoint: Checkpoint | None = None,
) -> Run:
    """Queue a sample run: the checkpoint answers the prompts, the answers become items to label.

    `prompts` are prompts or their ids; `kind` is one of KINDS_OF_WORK. With `best_of` above 1 in
    the config the reward model chooses each completion among so many candidates.
    """
    if kind not in KINDS_OF_WORK:
        raise ServiceError(f"Completions can become a {', '.join(KINDS_OF_WORK)}, not {kind!r}.")
    parsed = _parse("sample", {**(config or {}), "completions_per_prompt": completions_per_prompt})
    if completions_per_prompt < 2 and kind not in KINDS_OF_ONE:
        raise ServiceError("One completion has nothing to be compared with; ask for at least 2.")
    if kind == "rating" and collecting.scheme_in_force(project) is None:
        raise ServiceError(
            "There are no published questions to rate by. Publish some on the project's page of "
            "questions first."
        )
    _check_checkpoint(project, checkpoint, "sample")
    scorer = _scorer_of_best(project, parsed, checkpoint, reward_checkpoint)
    request = {"prompt_ids": _prompt_ids(project, prompts), "kind": kind, "purpose": "training"}
    return _queue(
        project,
        Stage.SAMPLE,
        parsed,
        parent=checkpoint,
        reward_checkpoint=scorer,
        request=request,
        started_by=started_by,
    )


@transaction.atomic
def start_evaluation(
    project: Project,
    *,
    child: Checkpoint,
    parent: Checkpoint,
    split: str = "test",
    limit: int | None = None,
    pairs_per_prompt: int = 1,
    started_by: User,
    config: dict[str, Any] | None = None,
    reward_checkpoint: Checkpoint | None = None,
) -> Evaluation:
    """Queue a run in which both checkpoints answer held-out prompts, for blind comparison.

    Each prompt gives `pairs_per_prompt` pairs; the win rate's interval takes them as one cluster.
    With `best_of` above 1 in the config both give the best of so many candidates.
    """
    if child.pk == parent.pk:
        raise ServiceError("A checkpoint can't be compared with itself. Choose its parent.")
    for checkpoint in (child, parent):
        _check_checkpoint(project, checkpoint, "evaluate")
    if artifacts.root_of(child).pk != artifacts.root_of(parent).pk:
        raise ServiceError("The two checkpoints stem from different base models. Choose others.")
    if split not in ("test", "validation"):
        raise ServiceError("Evaluate on held-out prompts: choose the split test or validation.")
    held_out = sorted(
        row["prompt_id"] for row in exports.prompts(project.pk) if row["split"] == split
    )[:limit]
    if not held_out:
        raise ServiceError(f"There are no prompts in the {split} split. Add prompts first.")
    parsed = _parse("sample", {**(config or {}), "completions_per_prompt": pairs_per_prompt})
    run = _queue(
        project,
        Stage.SAMPLE,
        parsed,
        parent=child,
        reward_checkpoint=_scorer_of_best(project, parsed, child, reward_checkpoint),
        request={
            "prompt_ids": held_out,
            "kind": "comparison",
            "purpose": "evaluation",
            "rival_checkpoint_id": parent.pk,
        },
        started_by=started_by,
    )
    evaluation = Evaluation.objects.create(
        project=project, child=child, parent=parent, run=run, batch=run.request["batch"]
    )
    made_in_round = Round.objects.filter(project=project, ended_at=None, policy=parent)
    made_in_round.filter(policy_run__checkpoint=child).update(evaluation=evaluation)
    return evaluation


@transaction.atomic
def request_export(
    checkpoint: Checkpoint, *, half_precision: bool = False, started_by: User
) -> Run:
    """Queue a run that merges a policy's adapter into its base and leaves a plain model."""
    check_exportable(checkpoint)
    config = _parse(Stage.EXPORT, {"half_precision": half_precision})
    _check_job(artifacts.job_to_be(checkpoint.project_id, config, parent=checkpoint))
    return _queue(
        checkpoint.project,
        Stage.EXPORT,
        config,
        parent=checkpoint,
        started_by=started_by,
    )


def check_exportable(checkpoint: Checkpoint) -> None:
    """Raise ServiceError for what is no adapter on a language model, or is not whole."""
    if checkpoint.stands_alone:
        folder = artifacts.checkpoint_folder(checkpoint)
        raise ServiceError(f"{checkpoint} is a plain model already; it lies in {folder}.")
    _check_checkpoint(checkpoint.project, checkpoint, "export")


def request_cancel(run: Run, user: User) -> None:
    """Cancel a queued run at once; ask a running one to stop. An ended run stays as it ended."""
    lifecycle.cancel(run.pk)
    run.refresh_from_db()


def set_priority(run: Run, priority: int, user: User) -> None:
    """Give a waiting run another place in line."""
    if priority not in Run.Priority.values:
        raise ServiceError("A priority is low, normal or high.")
    if not lifecycle.set_priority(run.pk, priority):
        raise ServiceError(f"{run} does not wait any more, so it has no place in line.")
    run.refresh_from_db()


@transaction.atomic
def promote_checkpoint(
    checkpoint: Checkpoint,
    *,
    promoted_by: User,
    reason: str,
    evaluation: Evaluation | None = None,
    override: bool = False,
) -> Promotion:
    """Let the checkpoint sample for its project, if it proved itself (or an owner overrides).

    The gate: blind comparisons with the checkpoint in force give a win rate whose 95 % interval
    lies above one half; while votes are missing, the interval that holds at every look. The first
    checkpoint has nothing to beat.
    """
    project = checkpoint.project
    reason = lifecycle.clean(reason.strip())
    if not reason:
        raise ServiceError("Say why this checkpoint shall answer the prompts from now on.")
    if checkpoint.kind == Checkpoint.Kind.REWARD:
        raise ServiceError("A reward model scores and can't answer prompts. Promote a policy.")
    current = selectors.promoted_checkpoint(project)
    if current is not None and current.pk == checkpoint.pk:
        raise ServiceError(f"{checkpoint} is the promoted checkpoint already.")
    if override:
        _check_owner(project, promoted_by)
    refusal = selectors.gate_refusal(checkpoint, evaluation)
    if refusal and not override:
        raise ServiceError(refusal)
    evidence = asdict(selectors.evaluation_result(evaluation)) if evaluation else {}
    promotion = Promotion.objects.create(
        project=project,
        checkpoint=checkpoint,
        promoted_by=promoted_by,
        reason=reason,
        evidence={
            **evidence,
            **({"evaluation": evaluation.pk} if evaluation else {}),
            **({"gate": asdict(selectors.gate_result(evaluation))} if evaluation else {}),
            **(asdict(selectors.certain(evaluation)) if evaluation else {}),
            **({"overridden": refusal} if refusal else {}),
        },
    )
    _end_round(
        project,
        promotion=promotion,
        evaluation=evaluation,  # the one that decided, whichever the round had
        decision=f"{checkpoint} promoted: {reason}",
    )
    return promotion


@transaction.atomic
def open_round(project: Project) -> Round:
    """Open the next turn of the loop with the promoted checkpoint, or return the open one."""
    policy = selectors.promoted_checkpoint(project)
    if policy is None:
        raise ServiceError(
            "A round begins with a promoted checkpoint. Train one on demonstrations and promote it."
        )
    last = Round.objects.filter(project=project).aggregate(last=Max("number"))["last"] or 0
    opened, _ = Round.objects.get_or_create(
        project=project, ended_at=None, defaults={"number": last + 1, "policy": policy}
    )
    return opened


@transaction.atomic
def close_round(project: Project, *, decision: str) -> Round:
    """End the open round without a promotion; the decision says why the child was kept back."""
    opened = selectors.open_round(project)
    if opened is None:
        raise ServiceError("No round is open. Open one first.")
    if not decision.strip():
        raise ServiceError("Say why the round ends without a promotion.")
    _end_round(project, decision=lifecycle.clean(decision.strip()))
    opened.refresh_from_db()
    return opened


def _end_round(project: Project, **changes: Any) -> None:
    """End the open round, if there is one, with the reward run that counted in the end."""
    if opened := selectors.open_round(project):
        Round.objects.filter(id=opened.pk, ended_at=None).update(
            reward_run=opened.reward_run, ended_at=Now(), **changes
        )


def _queue(
    project: Project,
    stage: str,
    config: AnyConfig,
    *,
    parent: Checkpoint,
    started_by: User,
    snapshot: DatasetSnapshot | None = None,
    reward_checkpoint: Checkpoint | None = None,
    request: dict[str, Any] | None = None,
) -> Run:
    """Write the run's row, which is its place in the queue; the hint goes out on commit."""
    run = Run.objects.create(
        project=project,
        stage=stage,
        config=config.to_dict(),
        parent=parent,
        snapshot=snapshot,
        reward_checkpoint=reward_checkpoint,
        request=request or {},
        started_by=started_by,
    )
    if request is not None:
        prefix = "evaluation" if request["purpose"] == "evaluation" else "run"
        run.request = {**request, "batch": f"{prefix}-{run.pk}"}
        run.save(update_fields=["request"])
    _link_round(run)
    transaction.on_commit(partial(tasks.send_hint, run.pk, lifecycle.QUEUES[Stage(stage)]))
    return run


def _link_round(run: Run) -> None:
    """Note a new run in the open round if it belongs there; the newest of a kind counts.

    What an engineer tries beside the loop must not push the loop on. So the sample run is one for
    training by the round's policy; the reward run learns from a snapshot that holds judgements of
    completions sampled in this round; the policy run starts from the round's policy. (A reward
    run that fails steps back behind an earlier one: `selectors.open_round`.) A policy run that
    learns from the judgements themselves learns from some of this round's.
    """
    opened = selectors.open_round(run.project)
    field = ROUND_FIELDS.get(Stage(run.stage))
    if opened is None or field is None:
        return
    belongs = run.parent_id == opened.policy_id
    match run.stage:
        case Stage.SAMPLE:
            belongs = belongs and run.request["purpose"] == "training"
        case Stage.REWARD:
            assert run.snapshot is not None  # checked before it was queued
            belongs = selectors.judges_round(run.snapshot, opened)
        case Stage.DPO | Stage.KTO:
            assert run.snapshot is not None  # checked before it was queued
            belongs = belongs and selectors.judges_round(run.snapshot, opened)
    if belongs:
        Round.objects.filter(id=opened.pk, ended_at=None).update(**{field: run})


def _parse(stage: str, config: dict[str, Any]) -> AnyConfig:
    try:
        return parse_config(stage, config)
    except (PipelineError, TypeError) as error:
        raise ServiceError(str(error)) from None


def _check_checkpoint(project: Project, checkpoint: Checkpoint, purpose: str) -> None:
    """Refuse a checkpoint of another project, a reward model, and one whose files are gone."""
    if checkpoint.project_id != project.pk:
        raise ServiceError(f"{checkpoint} belongs to another project. Choose one of {project}.")
    if checkpoint.kind == Checkpoint.Kind.REWARD:
        raise ServiceError(
            f"{checkpoint} is a reward model; choose a policy or a base model to {purpose}."
        )
    _check_files(checkpoint)


def _check_files(checkpoint: Checkpoint) -> None:
    base = artifacts.base_of(checkpoint)
    _or_service_error(partial(artifacts.check_base, artifacts.checkpoint_folder(base)))
    if checkpoint.kind == Checkpoint.Kind.BASE:
        return
    folder = artifacts.checkpoint_folder(checkpoint)
    if not folder.resolve().is_relative_to(Path(settings.ARTIFACTS_ROOT).resolve()):
        raise ServiceError(f"The files of {checkpoint} lie outside the artifact store.")
    # The files of a whole model are too large to be read here; the run does that before it starts.
    if not (has_files(folder) if checkpoint.stands_alone else is_whole(folder)):
        raise ServiceError(
            f"The files of {checkpoint} are missing or changed ({folder}). "
            "Restore them, or train it again."
        )


def _check_snapshot(
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


def _check_reward_model(
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


def _scorer_of_best(
    project: Project, config: AnyConfig, policy: Checkpoint, reward: Checkpoint | None
) -> Checkpoint | None:
    """Return the reward model that chooses among candidates; None where there is no choice."""
    if not isinstance(config, SampleConfig) or config.best_of == 1:
        return None
    if reward is None:
        raise ServiceError(
            f"The best of {config.best_of} is what a reward model scores highest. Choose a reward "
            "model, or set best_of to 1."
        )
    _check_reward_model(project, Stage.SAMPLE, policy, reward)
    return reward


def _check_job(job: Job) -> None:
    """Refuse what the child would refuse before it loads anything.

    Its memory is known where it runs on this machine, which the broker of one's own tells.
    """
    _or_service_error(partial(preflight.check_files, job))
    _or_service_error(partial(preflight.check_disk, job))
    if settings.EMBEDDED_BROKER:
        _or_service_error(partial(preflight.check_memory, job))


def _check_owner(project: Project, user: User) -> None:
    try:
        is_owner = access.get_membership_for(user, project.pk).role == "owner"
    except Http404:
        is_owner = False
    if not is_owner:
        raise ServiceError(
            "Only an owner of the project may promote against the gate. Ask one, or evaluate first."
        )


def _prompt_ids(project: Project, prompts: Iterable[Any]) -> list[int]:
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


def _or_service_error(check: Any) -> None:
    try:
        check()
    except PipelineError as error:
        raise ServiceError(str(error)) from None
