"""Starting, cancelling and ordering runs."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import transaction

from annotations import exports
from annotations import services as annotation_services
from annotations import services as collecting
from training import artifacts, lifecycle, selectors, tasks
from training.models import Checkpoint, DatasetSnapshot, Evaluation, Round, Run, Stage
from training.pipeline.config import (
    MOST_TIES,
    AnyConfig,
)
from training.services import regressions, replays
from training.services.refusals import (
    CONTENT_OF,
    SCORED,
    ServiceError,
    check_checkpoint,
    check_exportable,
    check_job,
    check_nothing_recalled,
    check_reward_model,
    check_snapshot,
    parse,
    prompt_ids_of,
    scorer_of_best,
)
from training.services.rounds import link_round

if TYPE_CHECKING:
    from annotations.models import Project, User
    from training.pipeline.jobs import Job


Content = DatasetSnapshot.Content
KINDS_OF_WORK = ("comparison", "ranking", "rating", "rewrite", "assembly")
"""What sampled completions can become."""
KINDS_OF_ONE = ("rating", "rewrite")
"""Those that a single completion of a prompt is enough for."""


def run_to_be(
    project: Project,
    stage: str,
    config: dict[str, Any],
    *,
    parent: Checkpoint,
    snapshot: DatasetSnapshot | None,
    reward_checkpoint: Checkpoint | None = None,
    learns_anew: bool = True,
) -> Job:
    """Return the job of a training run that could be started; nothing is written."""
    if stage not in CONTENT_OF:
        raise ServiceError(f"Choose a stage of {', '.join(CONTENT_OF)}, not {stage!r}.")
    parsed = parse(stage, config)
    check_checkpoint(project, parent, "start from")
    check_snapshot(project, Stage(stage), parsed, snapshot)
    if learns_anew:
        check_nothing_recalled(snapshot)
    if stage in SCORED:
        check_reward_model(project, Stage(stage), parent, reward_checkpoint)
    else:
        reward_checkpoint = None
    return artifacts.job_to_be(
        project.pk, parsed, parent=parent, snapshot=snapshot, reward_checkpoint=reward_checkpoint
    )


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
    rebuilds: Checkpoint | None = None,
    replaces: Checkpoint | None = None,
) -> Run:
    """Queue a training run, of any stage but sample, on a frozen snapshot.

    `rebuilds` is the checkpoint that it is to make again; `replaces` one that learnt from
    annotations that were recalled since.
    """
    job = run_to_be(
        project,
        stage,
        config,
        parent=parent,
        snapshot=snapshot,
        reward_checkpoint=reward_checkpoint,
        learns_anew=rebuilds is None,
    )
    check_job(job)
    return _queue(
        project,
        stage,
        job.config,
        parent=parent,
        snapshot=snapshot,
        reward_checkpoint=reward_checkpoint if stage in SCORED else None,
        request=_again(rebuilds, replaces),
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
    parsed = parse("sample", {**(config or {}), "completions_per_prompt": completions_per_prompt})
    if completions_per_prompt < 2 and kind not in KINDS_OF_ONE:
        raise ServiceError("One completion has nothing to be compared with; ask for at least 2.")
    if kind == "rating" and collecting.scheme_in_force(project) is None:
        raise ServiceError(
            "There are no published questions to rate by. Publish some on the project's page of "
            "questions first."
        )
    check_checkpoint(project, checkpoint, "sample")
    scorer = scorer_of_best(project, parsed, checkpoint, reward_checkpoint)
    request = {"prompt_ids": prompt_ids_of(project, prompts), "kind": kind, "purpose": "training"}
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
    tries_cases: bool = True,
) -> Evaluation:
    """Queue a run in which both checkpoints answer held-out prompts, for blind comparison.

    Each prompt gives `pairs_per_prompt` pairs; the win rate's interval takes them as one cluster.
    With `best_of` above 1 in the config both give the best of so many candidates. Where there are
    regression cases that the child was not tried on, it is: the gate will ask. A round by itself
    leaves that to the suite.
    """
    held_out = _check_rivals(project, child, parent, split, limit, "evaluate")
    parsed = parse("sample", {**(config or {}), "completions_per_prompt": pairs_per_prompt})
    if parent.is_external:
        scorer_of_best(project, parsed, parent, reward_checkpoint)
    run = _queue(
        project,
        Stage.SAMPLE,
        parsed,
        parent=child,
        reward_checkpoint=scorer_of_best(project, parsed, child, reward_checkpoint),
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
    if tries_cases:
        _try_on_cases(child, started_by)
    return evaluation


@transaction.atomic
def start_regressions(checkpoint: Checkpoint, *, started_by: User) -> Run:
    """Queue a run in which a checkpoint answers the prompts of the regression cases."""
    trial = regressions.prepare(checkpoint)
    return _queue(
        checkpoint.project,
        Stage.SAMPLE,
        trial.config,
        parent=checkpoint,
        reward_checkpoint=trial.scorer,
        request=trial.request,
        started_by=started_by,
    )


@transaction.atomic
def start_replay(
    project: Project, cases: list[exports.CaseRow], reward_model: Checkpoint, *, started_by: User
) -> Run:
    """Queue a run in which a reward model scores the cases of guidelines that it has not scored."""
    return _queue(
        project,
        Stage.REPLAY,
        parse(Stage.REPLAY, {}),
        parent=replays.policy_of(reward_model),
        reward_checkpoint=reward_model,
        request={"purpose": "replay", "cases": replays.rows_to_score(cases, reward_model)},
        started_by=started_by,
    )


@transaction.atomic
def start_weighing(
    project: Project, kinds: list[str], reward_model: Checkpoint, *, started_by: User
) -> Run:
    """Queue a run in which a reward model says what answers to open items would teach it."""
    return _queue(
        project,
        Stage.WEIGH,
        parse(Stage.WEIGH, {"ties": min(annotation_services.share_of_ties(project), MOST_TIES)}),
        parent=replays.policy_of(reward_model),
        reward_checkpoint=reward_model,
        request={"purpose": "weigh", "kinds": kinds},
        started_by=started_by,
    )


def _try_on_cases(child: Checkpoint, started_by: User) -> None:
    if regressions.is_seen_to(child):
        return
    with suppress(ServiceError):  # nothing can be tried; the gate and the page say why
        start_regressions(child, started_by=started_by)


@transaction.atomic
def request_export(
    checkpoint: Checkpoint, *, half_precision: bool = False, started_by: User
) -> Run:
    """Queue a run that merges a policy's adapter into its base and leaves a plain model."""
    check_exportable(checkpoint)
    config = parse(Stage.EXPORT, {"half_precision": half_precision})
    check_job(artifacts.job_to_be(checkpoint.project_id, config, parent=checkpoint))
    return _queue(
        checkpoint.project,
        Stage.EXPORT,
        config,
        parent=checkpoint,
        request={"purpose": "export", "card": selectors.model_card(checkpoint, merged=True)},
        started_by=started_by,
    )


@transaction.atomic
def start_suite(
    project: Project,
    *,
    child: Checkpoint,
    parent: Checkpoint,
    reward_checkpoint: Checkpoint | None = None,
    split: str = "test",
    limit: int | None = None,
    config: dict[str, Any] | None = None,
    started_by: User,
) -> Run:
    """Queue a run that measures a checkpoint beside another on held-out prompts, by itself.

    Both are tried on the regression cases, too; on those that a reward model decides if there is
    one here.
    """
    run_config = parse(Stage.SUITE, config or {})
    held_out = _check_rivals(project, child, parent, split, limit, "measure")
    if reward_checkpoint is not None:
        check_reward_model(project, Stage.SUITE, child, reward_checkpoint)
    return _queue(
        project,
        Stage.SUITE,
        run_config,
        parent=child,
        reward_checkpoint=reward_checkpoint,
        request={
            "prompt_ids": held_out,
            "purpose": "suite",
            "split": split,
            "rival_checkpoint_id": parent.pk,
            **regressions.for_suite(project, reward_checkpoint),
        },
        started_by=started_by,
    )


def _again(rebuilds: Checkpoint | None, replaces: Checkpoint | None) -> dict[str, Any] | None:
    """Return which checkpoint a run makes once more, if it does, and what for."""
    if rebuilds is not None:
        return {"purpose": "rebuild", "rebuilds": rebuilds.pk}
    return {"purpose": "retrain", "replaces": replaces.pk} if replaces is not None else None


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


def _check_rivals(
    project: Project,
    child: Checkpoint,
    parent: Checkpoint,
    split: str,
    limit: int | None,
    purpose: str,
) -> list[int]:
    """Return the held-out prompts that both answer; refuse two that can't be compared."""
    if child.pk == parent.pk:
        raise ServiceError("A checkpoint can't be compared with itself. Choose its parent.")
    for checkpoint in (child, parent):
        check_checkpoint(project, checkpoint, purpose)
    if child.is_external:
        raise ServiceError(
            f"{child} is an external endpoint. Evaluate a policy, and choose {child} as what it is "
            "held against."
        )
    if not parent.is_external and artifacts.root_of(child).pk != artifacts.root_of(parent).pk:
        raise ServiceError("The two checkpoints stem from different base models. Choose others.")
    if split not in ("test", "validation"):
        raise ServiceError("Evaluate on held-out prompts: choose the split test or validation.")
    held_out = sorted(
        row["prompt_id"] for row in exports.prompts(project.pk) if row["split"] == split
    )[:limit]
    if not held_out:
        raise ServiceError(f"There are no prompts in the {split} split. Add prompts first.")
    return held_out


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
    link_round(run)
    transaction.on_commit(partial(tasks.send_hint, run.pk, lifecycle.QUEUES[Stage(stage)]))
    return run
