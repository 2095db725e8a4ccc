"""What the settings of every stage have in common, and what refuses the impossible ones."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, Self

from training.pipeline.errors import PipelineError

MOST_FULL_RATE = 1e-4
"""Learning rate of full fine-tuning above which a language model forgets what it knew."""

MOST_NEW_TOKENS = 8192

LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


LONGEST_NUMBER_BITS = 64
"""A whole number beyond it is no float, in which ranges are told."""


def between(config: object, name: str, low: float, high: float) -> None:
    """Refuse a field that is no number, or one out of range."""
    value = getattr(config, name)
    if isinstance(value, int) and value.bit_length() > LONGEST_NUMBER_BITS:
        raise PipelineError(
            f"{name} has {len(str(value))} digits; choose a value from {low:g} to {high:g}."
        )
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise PipelineError(f"{name} must be a number, not {value!r}.")
    if not low <= value <= high:
        raise PipelineError(f"{name} is {value:g}; choose a value from {low:g} to {high:g}.")


def _as(kind: object, name: str, value: Any) -> Any:
    """Return a value as its field has it; 8.0 is a whole number, as JSON Schema has it.

    >>> _as("int", "batch_size", 8.0)
    8
    """
    if kind == "int" and isinstance(value, float) and math.isfinite(value):
        if not value.is_integer():
            raise PipelineError(f"{name} must be a whole number, not {value!r}.")
        return int(value)
    if kind == "bool" and not isinstance(value, bool):
        raise PipelineError(f"{name} must be true or false, not {value!r}.")
    return value


def _check_targets(names: object) -> None:
    if not isinstance(names, str) or not names.split():
        raise PipelineError(
            f"lora_targets names no layer; write their names with spaces between, for example "
            f"{' '.join(LORA_TARGETS[:4])}."
        )


def check_sampling(config: object) -> None:
    """Refuse settings that no completion can be drawn by."""
    between(config, "temperature", 0.01, 10)
    between(config, "top_p", 0.01, 1)
    between(config, "max_new_tokens", 1, MOST_NEW_TOKENS)


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """What every stage has."""

    seed: int = 0
    """Seed of every random choice in the run: the same seed and machine give the same weights."""

    def __post_init__(self) -> None:
        between(self, "seed", 0, 2**31 - 1)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the config with `values`; unknown names are refused.

        Raise PipelineError for an unknown name or a value out of range.
        """
        known = {f.name: f.type for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise PipelineError(
                f"Unknown setting {', '.join(unknown)}; known: {', '.join(sorted(known))}."
            )
        return cls(**{name: _as(known[name], name, value) for name, value in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(StageConfig):
    """What every stage that changes weights has."""

    learning_rate: float
    """Peak learning rate of AdamW. LoRA takes about ten times that of full fine-tuning (Schulman et
    al. 2025, LoRA Without Regret)."""
    batch_size: int
    """Rows (of ppo: episodes) per optimiser update."""
    lora_rank: int = 16
    """Rank of a new LoRA adapter (Hu et al. 2021, arXiv:2106.09685); what a few thousand rows teach
    fits into 16. One that goes on from a parent keeps the parent's."""
    lora_targets: str = " ".join(LORA_TARGETS)
    """Linear layers of the base that a new adapter is put on, by name, with spaces between: all of
    them learn better than attention alone (Dettmers et al. 2023, arXiv:2305.14314, figure 2)."""
    lora_layers: int = 0
    """How many of the upper layers a new adapter has a part in; 0 means all. What lies below them
    is not trained, and the backward pass ends there: less time and memory (docs/training.md)."""
    track_with: Literal["", "wandb", "mlflow", "trackio"] = ""
    """Send the metrics to this tracker, too; it must be installed and signed in where runs are
    carried out. TensorBoard files lie in the run's folder in any case."""
    checkpoint_every: int = 10
    """Steps between resume points: what a lost machine costs at most. Two are kept."""

    def __post_init__(self) -> None:
        super().__post_init__()
        between(self, "learning_rate", 1e-8, 1e-2)
        between(self, "batch_size", 1, 4096)
        between(self, "lora_rank", 1, 512)
        _check_targets(self.lora_targets)
        if self.track_with not in ("", "wandb", "mlflow", "trackio"):
            raise PipelineError(
                f"track_with is {self.track_with!r}; choose wandb, mlflow, trackio or nothing."
            )
        between(self, "lora_layers", 0, 10_000)
        between(self, "checkpoint_every", 1, 100_000)


@dataclass(frozen=True, kw_only=True)
class SharedConfig(TrainConfig):
    """What the stages have that several processes can carry out."""

    processes: int = 1
    """Processes that share each batch, one a GPU (without GPUs, of the processor), started by
    `accelerate launch`. They learn what one would."""

    def __post_init__(self) -> None:
        super().__post_init__()
        between(self, "processes", 1, 64)
        shared_by(self, "batch_size")


def shared_by(config: SharedConfig, name: str) -> None:
    """Refuse a number of rows that the processes can't share equally."""
    rows = getattr(config, name)
    if rows % config.processes:
        raise PipelineError(
            f"{name} {rows} is not a multiple of processes {config.processes}; make it one, so "
            "that each has as many rows."
        )
