"""Where files lie, and what a run's child process is told."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef

from annotations import exports
from training import open_questions, secrecy, store
from training.models import Checkpoint, DatasetSnapshot, Endpoint, Run, SnapshotAnnotation, Stage
from training.pipeline.checkpoints import check_model_folder
from training.pipeline.config import AnyConfig, ExportConfig, parse_config
from training.pipeline.errors import PipelineError
from training.pipeline.external import KEY_VARIABLE
from training.pipeline.jobs import Cases, ExternalSource, Job


def root() -> Path:
    """Return the folder of the artifact store."""
    return Path(settings.ARTIFACTS_ROOT)


def project_folder(project_id: int) -> Path:
    """Return the folder of everything that a project stores. Names never become paths, ids do."""
    return Path(settings.ARTIFACTS_ROOT) / "projects" / str(project_id)


def snapshot_folder(snapshot: DatasetSnapshot) -> Path:
    """Return the folder of a snapshot: rows.jsonl and manifest.json."""
    return project_folder(snapshot.project_id) / "snapshots" / str(snapshot.pk)


def snapshot_rows(snapshot: DatasetSnapshot) -> Path:
    """Return the file of a snapshot's rows, here."""
    return store.bring(snapshot_folder(snapshot)) / "rows.jsonl"


def work_folder(run: Run) -> Path:
    """Return the folder of a run's resume points and scratch files; it survives attempts."""
    return project_folder(run.project_id) / "runs" / str(run.pk)


def output_folder(run: Run) -> Path:
    """Return where a run publishes its checkpoint, or its completions."""
    if run.stage in (Stage.SAMPLE, Stage.SUITE, Stage.REPLAY, Stage.WEIGH):
        return work_folder(run) / "output"
    if run.stage == Stage.EXPORT:
        return project_folder(run.project_id) / "exports" / f"run-{run.pk}"
    return project_folder(run.project_id) / "checkpoints" / f"run-{run.pk}"


def checkpoint_folder(checkpoint: Checkpoint) -> Path:
    """Return the folder of a model or an adapter, here."""
    if checkpoint.kind == Checkpoint.Kind.BASE:
        return Path(checkpoint.path)
    return store.bring(Path(settings.ARTIFACTS_ROOT) / checkpoint.path)


def adapter_folder(checkpoint: Checkpoint | None) -> str | None:
    """Return the folder of an adapter as a path for the child; None for a model of its own."""
    if checkpoint is None or checkpoint.stands_alone or checkpoint.is_external:
        return None
    return str(checkpoint_folder(checkpoint))


def base_folders() -> list[Path]:
    """Return the folders of models that runs can start from: the demo's and those beside it."""
    configs = settings.BASE_MODEL_PATH.parent.glob("*/config.json")
    return sorted(config.parent.resolve() for config in configs)


def base_of(checkpoint: Checkpoint) -> Checkpoint:
    """Return the model whose weights the checkpoint's adapter lies on: itself, if it has its own.

    It is the nearest in the lineage that stands alone.
    """
    while checkpoint.parent is not None and not checkpoint.stands_alone:
        checkpoint = checkpoint.parent
    return checkpoint


def root_of(checkpoint: Checkpoint) -> Checkpoint:
    """Return the base model at the root of the checkpoint's lineage: it gave the tokenizer."""
    while checkpoint.parent is not None:
        checkpoint = checkpoint.parent
    return checkpoint


def check_base(path: Path) -> None:
    """Raise PipelineError unless the folder is a base model that is safe to load."""
    try:
        check_model_folder(path)
    except (OSError, ValueError, RecursionError) as error:
        raise PipelineError(
            f"{path} can't be read ({error}). Save the model there again."
        ) from None


def job_to_be(
    project_id: int,
    config: AnyConfig,
    *,
    parent: Checkpoint,
    snapshot: DatasetSnapshot | None = None,
    reward_checkpoint: Checkpoint | None = None,
) -> Job:
    """Return the job of a run that nobody has started: enough to tell whether it could work."""
    return Job(
        config=config,
        base_path=str(checkpoint_folder(base_of(parent))),
        work_dir=str(project_folder(project_id) / "runs"),
        output_dir=str(project_folder(project_id) / "checkpoints"),
        adapter_path=adapter_folder(parent),
        reward_path=adapter_folder(reward_checkpoint),
        data_path=None if snapshot is None else str(snapshot_rows(snapshot)),
    )


def job_for(run: Run) -> Job:
    """Return what the child process is told; write the prompts of a sample run beside it."""
    if not run.parent.is_external:
        check_base(checkpoint_folder(base_of(run.parent)))
    return _job(run, _rows_file(run, write=True))


def secrets_for(run: Run) -> dict[str, str]:
    """Return what the child is told through its environment: the key of the server it asks."""
    rival_id = run.request.get("rival_checkpoint_id")
    for checkpoint_id in filter(None, (run.parent_id, rival_id)):
        endpoint = Endpoint.objects.filter(checkpoint=checkpoint_id).first()
        if endpoint is not None and endpoint.encrypted_key:
            return {KEY_VARIABLE: key_of(endpoint)}
    return {}


def key_of(endpoint: Endpoint) -> str:
    """Return the key of a server. Raise PipelineError where it can't be read any more."""
    if not endpoint.encrypted_key:
        return ""
    try:
        return secrecy.decrypt(endpoint.encrypted_key)
    except secrecy.SecretLost:
        raise PipelineError(
            f"The key of {endpoint} can't be read: SECRET_KEY has changed since it was entered. "
            "Enter it again on the endpoint's page."
        ) from None


def external_source(checkpoint: Checkpoint | None) -> ExternalSource | None:
    """Return the server that a checkpoint stands for; None for one with weights here."""
    if checkpoint is None or not checkpoint.is_external:
        return None
    endpoint = checkpoint.endpoint
    return ExternalSource(
        name=checkpoint.name,
        url=endpoint.url,
        model=endpoint.model,
        timeout_s=endpoint.timeout_s,
        allowed=tuple(settings.ALLOWED_PRIVATE_ENDPOINTS),
    )


def job_outside(run: Run) -> Job:
    """Return the run's job for a place of its own: `python -m training.pipeline JOB.json` there.

    It reads the same files and writes below the folder that it is started in, so that it neither
    finds this run's checkpoint nor touches it.
    """
    place = f"run-{run.pk}"
    job = _job(run, _rows_file(run, write=False))
    return replace(job, work_dir=f"{place}/work", output_dir=f"{place}/checkpoint")


def _job(run: Run, data: Path | None) -> Job:
    base = base_of(run.parent)
    rival_id = run.request.get("rival_checkpoint_id")
    rival = Checkpoint.objects.get(id=rival_id) if rival_id else None
    return Job(
        config=parse_config(run.stage, run.config),
        base_path="" if run.parent.is_external else str(checkpoint_folder(base)),
        work_dir=str(work_folder(run)),
        output_dir=str(output_folder(run)),
        adapter_path=adapter_folder(run.parent),
        reward_path=adapter_folder(run.reward_checkpoint),
        rival=rival is not None,
        rival_path=adapter_folder(rival),
        rival_base_path=_base_folder(rival),
        external=external_source(run.parent),
        rival_external=external_source(rival),
        card=run.request.get("card", ""),
        demonstrations_path=_demonstrations_file(run),
        data_path=None if data is None else str(data),
        cases=_cases(run),
        provenance={
            "run": run.pk,
            "stage": run.stage,
            "project": run.project_id,
            "parent": run.parent.name,
            "parent_id": run.parent_id,
            "base": base.name,
            "reward_checkpoint": run.reward_checkpoint and run.reward_checkpoint.name,
            "snapshot": run.snapshot_id,
            "snapshot_sha256": run.snapshot and run.snapshot.sha256,
            **_centred_on(run),
            "code_version": code_version(),
        },
    )


def _base_folder(checkpoint: Checkpoint | None) -> str | None:
    if checkpoint is None or checkpoint.is_external:
        return None
    return str(checkpoint_folder(base_of(checkpoint)))


def export_job(checkpoint: Checkpoint, config: ExportConfig, folder: Path, work_dir: str) -> Job:
    """Return what the child is told that writes a policy as a plain model to `folder`."""
    base = base_of(checkpoint)
    check_base(checkpoint_folder(base))
    return Job(
        config=config,
        base_path=str(checkpoint_folder(base)),
        work_dir=work_dir,
        output_dir=str(folder),
        adapter_path=adapter_folder(checkpoint),
        provenance={
            "stage": Stage.EXPORT.value,
            "project": checkpoint.project_id,
            "parent": checkpoint.name,
            "parent_id": checkpoint.pk,
            "base": base.name,
            "code_version": code_version(),
        },
    )


@cache
def code_version() -> str:
    """Return the git revision of the code, else the installed package's version, else unknown."""
    root = Path(__file__).resolve().parent.parent
    if revision := os.environ.get("CODE_VERSION"):
        return revision
    # A service seldom owns its code, and of what another user owns git says nothing by itself.
    command = ["git", "-c", f"safe.directory={root}", "-C", str(root), "describe"]
    command += ["--always", "--dirty", "--abbrev=12"]
    with suppress(OSError, subprocess.SubprocessError):  # no git here, or no repository
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
        return done.stdout.strip()
    with suppress(metadata.PackageNotFoundError):  # runs from a copy that was never installed
        return metadata.version("labelstudio-llm")
    return "unknown"


def to_line(row: Any) -> str:
    """Return a row as one line of compact JSON, the same for the same row everywhere."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"


def write_synced(path: Path, text: str) -> None:
    """Write a file and wait until it lies on the disk."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until a folder's entries lie on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def demonstrations_for(run: Run) -> DatasetSnapshot | None:
    """Return what a reward run's zero is measured on: what its policy was fine-tuned on.

    Where the policy's lineage knows none, the newest that were frozen before the run was asked
    for, so that every attempt takes the same.
    """
    frozen = DatasetSnapshot.objects.filter(
        project_id=run.project_id, content=DatasetSnapshot.Content.DEMONSTRATIONS
    )
    if (number := run.request.get("rebuilds")) is not None:  # it takes what was there at that time
        original = Checkpoint.objects.filter(id=number).first()
        run = (original and original.run) or run
    checkpoint: Checkpoint | None = run.parent
    while checkpoint is not None:
        learned_from = checkpoint.run and checkpoint.run.snapshot_id
        if learned_from and (found := frozen.filter(id=learned_from).first()):
            return found
        checkpoint = checkpoint.parent
    recalled = SnapshotAnnotation.objects.filter(
        exports.recalled("annotation__", run.project_id), snapshot=OuterRef("pk")
    )
    return frozen.filter(~Exists(recalled), created_at__lte=run.created_at).first()


def _centred_on(run: Run) -> dict[str, Any]:
    snapshot = demonstrations_for(run) if run.stage == Stage.REWARD else None
    return {"demonstrations_snapshot": snapshot.pk} if snapshot else {}


def _demonstrations_file(run: Run) -> str | None:
    snapshot = demonstrations_for(run) if run.stage == Stage.REWARD else None
    path = snapshot and snapshot_rows(snapshot)
    return str(path) if path and path.is_file() else None


def _rows_file(run: Run, *, write: bool) -> Path | None:
    """Return the rows that a run reads, if it reads any; `write` the prompts that it answers."""
    if run.snapshot is not None:
        return snapshot_rows(run.snapshot)
    if run.stage == Stage.EXPORT:
        return None
    path = work_folder(run) / "prompts.jsonl"
    if write and run.stage == Stage.REPLAY:
        _write_rows(path, run.request["cases"])
    elif write and run.stage == Stage.WEIGH:
        _write_rows(path, open_questions.rows_of(run))
    elif write:
        _write_prompts(run, path, set(run.request.get("prompt_ids", [])))
        if (cases := _cases(run)) is not None:
            wanted = {case["prompt_id"] for case in run.request["cases"]}
            _write_prompts(run, Path(cases.path), wanted)
    return path


def _cases(run: Run) -> Cases | None:
    """Return the regression cases that a suite tries, beside the prompts that it measures on."""
    if run.stage != Stage.SUITE or not run.request.get("cases"):
        return None
    return Cases(
        path=str(work_folder(run) / "case_prompts.jsonl"),
        answers=max(case["answers"] for case in run.request["cases"]),
        max_new_tokens=run.request["case_tokens"],
    )


def _write_prompts(run: Run, path: Path, wanted: set[int]) -> None:
    """Write prompts that a run answers, in the order of their ids."""
    rows = sorted(
        (
            {**row, **_references(run, row["prompt_id"])}
            for row in exports.prompts(run.project_id)
            if row["prompt_id"] in wanted
        ),
        key=lambda row: row["prompt_id"],
    )
    if not rows:
        raise PipelineError("None of the prompts to answer is there any more. Choose others.")
    _write_rows(path, rows)


def _write_rows(path: Path, rows: Iterable[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_synced(path.with_suffix(".tmp"), "".join(map(to_line, rows)))
    path.with_suffix(".tmp").rename(path)


def _references(run: Run, prompt_id: int) -> dict[str, Any]:
    """Return the texts that answers to a prompt are held against, of a run on regression cases."""
    cases = [case for case in run.request.get("cases", []) if case["prompt_id"] == prompt_id]
    pairs = {str(case["case_id"]): [case["reported"], case["rewrite"]] for case in cases}
    return {"references": pairs} if pairs else {}
