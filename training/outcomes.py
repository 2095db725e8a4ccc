"""How a child's end becomes its run's end, and what a run that succeeded leaves to the project."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import traceback
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings

from annotations import services as annotation_services
from training import (
    artifacts,
    lifecycle,
    outbox,
    recording,
    regressions,
    selectors,
    store,
    weighing,
)
from training.models import CaseScore, Checkpoint, Run, Stage, Webhook
from training.pipeline import failures
from training.pipeline.checkpoints import damage_of, read_manifest
from training.pipeline.config import parse_config
from training.pipeline.tensorboard import FOLDER as TENSORBOARD
from training.supervisor import LOG, Outcome

Publish = Callable[[], dict[str, Any]]

logger = logging.getLogger(__name__)


class PublishingError(Exception):
    """The child said that it is done, but what it should have left is not there."""


def record(run: Run, attempt: int, outcome: Outcome) -> bool:
    """Move the attempt to the state that its child's end means. Return False if superseded."""
    if outcome.stop == "superseded":
        return False
    if outcome.ending == "done":
        return _succeed(run, attempt, outcome)
    if outcome.stop == "cancel":
        return lifecycle.cancelled(run.pk, attempt)
    if outcome.ending == "error":
        return _fail(run, attempt, outcome)
    if outcome.stop == "limit":
        return lifecycle.fail(run.pk, attempt, _over_time())
    if outcome.stop == "shutdown" or outcome.ending == "stopped":
        return lifecycle.requeue(run.pk, attempt)
    if outcome.ending == "killed":
        remedy = failures.for_memory(parse_config(run.stage, run.config))
        return lifecycle.lost(run.pk, attempt, why=_killed(outcome, remedy), remedy=remedy)
    return fail_unexpectedly(run, attempt, f"exit status {outcome.exit_code}, no last word")


def fail_on(error: Exception, run: Run, attempt: int) -> bool:
    """Fail the attempt with what went wrong in this process, in words where it is known."""
    detail = traceback.format_exc()
    if isinstance(error, OSError) and (known := failures.explain(error, None)):
        return lifecycle.fail(run.pk, attempt, str(known), detail=detail)
    return fail_unexpectedly(run, attempt, f"{error}.", detail)


def fail_unexpectedly(run: Run, attempt: int, message: str, detail: str = "") -> bool:
    """Fail the attempt with an error that nobody foresaw; the log's last lines stand beside it."""
    logger.error("Run %s, attempt %s, failed: %s\n%s", run.pk, attempt, message, detail)
    return lifecycle.fail(
        run.pk,
        attempt,
        f"Run {run.pk} stopped on an error that it did not expect: {message.rstrip('.')}. "
        "The last lines of its log are below.",
        detail=detail or recording.tail(artifacts.work_folder(run) / LOG),
    )


def log_file(run: Run) -> Path | None:
    """Return what the run's attempts wrote, as its machine sent it last; None before the first."""
    log = artifacts.work_folder(run) / LOG
    store.refresh(log.parent, log.name)
    return log if log.is_file() else None


def event_files(run: Run) -> list[Path]:
    """Return the TensorBoard files of the run's attempts, one for each."""
    store.refresh(artifacts.work_folder(run), f"{TENSORBOARD}/events.*")
    return sorted((artifacts.work_folder(run) / TENSORBOARD).glob("events.*"))


def packed_events(run: Run) -> bytes:
    """Return the TensorBoard files of the run's attempts as an archive; nothing without any."""
    packed, files = io.BytesIO(), event_files(run)
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, f"run-{run.pk}/{file.name}")
    return packed.getvalue() if files else b""


def wall_clock_limit_s() -> float:
    """Return how long one attempt may take. Celery's limits would leave the child behind."""
    return float(getattr(settings, "RUN_LIMIT_HOURS", 48)) * 3600


def _succeed(run: Run, attempt: int, outcome: Outcome) -> bool:
    prepare = {
        Stage.SAMPLE: _completions_of,
        Stage.EXPORT: _model_of,
        Stage.SUITE: _results_of,
        Stage.REPLAY: _scores_of,
        Stage.WEIGH: _worth_of,
    }.get(Stage(run.stage), _checkpoint_of)
    if run.request.get("kind") == "regression":
        prepare = _regressions_of
    try:
        publish = prepare(run)  # reads files: not while the transaction holds its locks
        if prepare in (_checkpoint_of, _model_of):
            alive = partial(lifecycle.heartbeat, run.pk, attempt)
            if not alive():  # another attempt may have sent its own meanwhile
                return False
            with store.beating(alive):
                store.keep(artifacts.output_folder(run))
        return lifecycle.succeed(run.pk, attempt, results=outcome.results, publish=publish)
    except (PublishingError, store.StoreError, annotation_services.ServiceError) as error:
        return lifecycle.fail(run.pk, attempt, str(error))


def _fail(run: Run, attempt: int, outcome: Outcome) -> bool:
    message = outcome.message.strip()
    if outcome.expected and message:
        return lifecycle.fail(
            run.pk, attempt, message, detail=outcome.detail, remedy=outcome.change
        )
    return fail_unexpectedly(run, attempt, message or "no message.", outcome.detail)


def _checkpoint_of(run: Run) -> Publish:
    """Return what records the checkpoint that the run left, once."""
    folder = artifacts.output_folder(run)
    if damage := damage_of(folder):
        raise PublishingError(
            f"The checkpoint in {folder} is not whole: {damage}. Check the disk, then start the "
            "run again."
        )
    values = {
        "project": run.project,
        "name": f"{run.stage}-{run.pk}",
        "kind": Checkpoint.Kind.REWARD if run.stage == Stage.REWARD else Checkpoint.Kind.POLICY,
        "path": folder.relative_to(settings.ARTIFACTS_ROOT).as_posix(),
        "parent": run.parent,
        "manifest": lifecycle.clean(read_manifest(folder)),
    }

    def publish() -> dict[str, Any]:
        made, is_new = Checkpoint.objects.get_or_create(run=run, defaults=values)
        if is_new:
            told = {"checkpoint_id": made.pk, "kind": made.kind, "run_id": run.pk}
            outbox.note(run.project_id, Webhook.Kind.CHECKPOINT_CREATED, made.pk, **told)
        return {}

    return publish


def _model_of(run: Run) -> Publish:
    """Return what records where the plain model lies that the run left."""
    folder = artifacts.output_folder(run)
    if damage := damage_of(folder):
        raise PublishingError(
            f"The model in {folder} is not whole: {damage}. Check the disk, then export again."
        )
    size = sum(path.stat().st_size for path in folder.iterdir())
    return lambda: {"folder": str(folder), "bytes": size}


def _results_of(run: Run) -> Publish:
    """Return what records a suite: beside its results, the regression cases that it tried."""
    if not run.request.get("cases"):
        return lambda: {}
    return _verdicts(run, _rows(artifacts.output_folder(run) / "cases.jsonl"))


def _completions_of(run: Run) -> Publish:
    """Return what turns the completions that the run left into items for annotators, once."""
    answers = list(_answers(run, artifacts.output_folder(run) / "completions.jsonl"))
    if not answers:
        raise PublishingError("The run left no completions. Choose prompts and run it again.")

    def publish() -> dict[str, Any]:
        added = annotation_services.add_completions(
            run.project,
            answers,
            kind=run.request["kind"],
            purpose=run.request["purpose"],
            batch=run.request["batch"],
        )
        return {"sampled": len(answers), **dataclasses.asdict(added)}

    return publish


def _regressions_of(run: Run) -> Publish:
    """Return what records whether the checkpoint passed the cases that the run tried."""
    return _verdicts(run, _rows(artifacts.output_folder(run) / "completions.jsonl"))


def _verdicts(run: Run, rows: list[dict[str, Any]]) -> Publish:
    """Return what records who passed: the checkpoint, and its rival where one answered as well."""
    own, of_rival = (
        regressions.results_of(
            run.request["cases"], [row for row in rows if row["source"] == source]
        )
        for source in ("policy", "rival")
    )
    rival = selectors.rival_of(run)

    def publish() -> dict[str, Any]:
        if rival is not None:
            regressions.record_results(rival, of_rival, run)
        regressions.record_results(run.parent, own, run)
        passed = sum(result.passed for result in own)
        return {"cases_passed": passed, "cases_failed": len(own) - passed}

    return publish


def _scores_of(run: Run) -> Publish:
    """Return what records what the reward model made of the cases."""
    rows = _rows(artifacts.output_folder(run) / "scores.jsonl")
    model = run.reward_checkpoint
    assert model is not None  # the service that queued it asks for one

    def publish() -> dict[str, Any]:
        CaseScore.objects.bulk_create(
            (
                CaseScore(
                    checkpoint=model,
                    digest=row["digest"],
                    first=row["first"],
                    second=row["second"],
                    run=run,
                )
                for row in rows
            ),
            ignore_conflicts=True,
        )
        return {}

    return publish


def _worth_of(run: Run) -> Publish:
    """Return what tells the queue what answers to open items would teach the reward model."""
    rows = _rows(artifacts.output_folder(run) / "worth.jsonl")

    def publish() -> dict[str, Any]:
        for kind in run.request["kinds"]:
            of_kind = [row for row in rows if row["kind"] == kind]
            scored = [
                weighing.Scored(row["item"], row["nats"], row["pairs"])
                for row in of_kind
                if "left_out" not in row
            ]
            left_out = len(of_kind) - len(scored)
            weighing.record(run.project, kind, scored, run.reward_checkpoint, left_out)
        return {}

    return publish


def _answers(run: Run, path: Path) -> Iterator[annotation_services.Answer]:
    sources = {"policy": run.parent_id, "rival": run.request.get("rival_checkpoint_id")}
    names = dict(
        Checkpoint.objects.filter(id__in=filter(None, sources.values())).values_list("id", "name")
    )
    for row in _rows(path):
        checkpoint_id = sources[row["source"]]
        yield annotation_services.Answer(
            prompt_id=row["prompt_id"],
            text=row["text"],
            checkpoint_id=checkpoint_id,
            source_name=names.get(checkpoint_id or 0, ""),
            sampling=row.get("sampling", {}),
        )


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as file:
            rows: list[dict[str, Any]] = lifecycle.clean([json.loads(line) for line in file])
    except (OSError, ValueError) as error:
        raise PublishingError(f"The completions can't be read ({error}). Run it again.") from error
    return rows


def _killed(outcome: Outcome, remedy: dict[str, Any]) -> str:
    return (
        f"The training process was killed ({outcome.signal_name}). Most often the machine ran out "
        f"of memory. {failures.cure(remedy)} It happened"
    )


def _over_time() -> str:
    hours = wall_clock_limit_s() / 3600
    return (
        f"The run took longer than the limit of {hours:g} hours and was stopped. "
        "Choose fewer steps, or raise RUN_LIMIT_HOURS."
    )
