"""What a model's files say about it before a weight is loaded: names and shapes. No torch here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from training.pipeline.errors import PipelineError

LONGEST_HEADER = 100 * 2**20
"""Bytes; safetensors itself refuses longer ones."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a safetensors file."""

    name: str
    shape: tuple[int, ...]

    @property
    def layer(self) -> int | None:
        """Return the number of the layer that it belongs to, if it belongs to one.

        >>> Tensor("model.layers.7.mlp.up_proj.weight", (4, 2)).layer
        7
        """
        return next((int(part) for part in self.name.split(".") if part.isdigit()), None)

    @property
    def owner(self) -> str:
        """Return the name of the module that holds it.

        >>> Tensor("model.layers.7.mlp.up_proj.weight", (4, 2)).owner
        'up_proj'
        """
        parts = self.name.split(".")
        return parts[-2] if len(parts) > 1 else ""


@dataclass(frozen=True)
class Shape:
    """A base model's sizes."""

    tensors: tuple[Tensor, ...]
    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_values: int
    """Numbers that a token's keys (or values) take in one layer."""
    vocabulary: int
    context: int | None
    """Longest sequence in tokens, as the model says."""

    @property
    def parameters(self) -> int:
        return sum(prod(tensor.shape) for tensor in self.tensors)

    def linear_layers(self) -> list[str]:
        """Return the names that LoRA can be put on: matrices inside layers."""
        return sorted({t.owner for t in self.tensors if len(t.shape) == 2 and t.layer is not None})

    def adapter_parameters(self, targets: list[str], rank: int, upper_layers: int) -> int:
        """Return how many parameters a LoRA of this rank has on these layers."""
        lowest = self.layers - upper_layers if upper_layers else 0
        return sum(
            rank * sum(t.shape)
            for t in self.tensors
            if t.owner in targets and len(t.shape) == 2 and (t.layer or 0) >= lowest
        )


def read_tensors(folder: Path) -> tuple[Tensor, ...]:
    """Return the tensors of all safetensors files in `folder`.

    Raise PipelineError where a file is cut off or is no safetensors file.
    """
    found: list[Tensor] = []
    for path in sorted(folder.glob("*.safetensors")):
        found += _tensors_of(path)
    return tuple(found)


def read_shape(folder: Path) -> Shape | None:
    """Return the sizes of the base model in `folder`; None where its config does not say."""
    tensors = read_tensors(folder)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config = config.get("text_config", config)
        hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        head = int(config.get("head_dim") or hidden // heads)
        return Shape(
            tensors=tensors,
            hidden=hidden,
            intermediate=int(config.get("intermediate_size") or 4 * hidden),
            layers=int(config["num_hidden_layers"]),
            heads=heads,
            key_values=int(config.get("num_key_value_heads") or heads) * head,
            vocabulary=int(config["vocab_size"]),
            context=_positive(config.get("max_position_embeddings")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
        return None


def _positive(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _tensors_of(path: Path) -> list[Tensor]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > LONGEST_HEADER:
                raise ValueError(f"a header of {length} bytes")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        needed = (
            8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
        )
        tensors = [Tensor(name, tuple(entry["shape"])) for name, entry in header.items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PipelineError(
            f"{path} is no safetensors file, or is damaged ({error}). Copy the model there again."
        ) from None
    if path.stat().st_size < needed:
        raise PipelineError(
            f"{path} is cut off: {path.stat().st_size} bytes of {needed}. Copy the model there "
            "again."
        )
    return tensors
