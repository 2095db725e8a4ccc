"""A trunk in two: the lower layers that no adapter changes, and the upper ones.

Policy, reference and reward model are one frozen base with adapters. Below the lowest layer that
any of them has a part in they are the same function, whose gradient nobody needs: what it makes of
a text is reckoned once and read by all three, in every epoch.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import DynamicCache, PreTrainedConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from training.pipeline.errors import PipelineError
from training.pipeline.loading import trunk_of

LAYER = re.compile(r"\.layers\.(\d+)\.")
CHECKED_TOKENS = 8


@dataclass(frozen=True)
class Split:
    """A trunk in two parts that share their weights with it."""

    lower: nn.Module
    """From token ids (B, T) to hidden states (B, T, H). With `first` 0: the embeddings alone."""
    upper: nn.Module
    """From those to the last hidden states, adapters included."""
    first: int
    """Index of the upper part's first layer."""


class LayerCache(DynamicCache):
    """Keys and values of a trunk whose layers are numbered from `first` on."""

    def __init__(self, config: PreTrainedConfig, first: int = 0) -> None:
        # A trunk that is cut has layers of one type: the cache need not know which is which.
        super().__init__(config=None if first else config)
        self.first = first

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        return super().update(key_states, value_states, layer_idx - self.first, *args, **kwargs)


class Embeddings(nn.Module):
    """The lower part of a trunk whose first layer is adapted, called as a trunk is."""

    def __init__(self, embed: nn.Module) -> None:
        super().__init__()
        self.embed = embed

    def forward(self, input_ids: Tensor, **_: Any) -> Hidden:
        return Hidden(self.embed(input_ids))


@dataclass(frozen=True)
class Hidden:
    """What a trunk answers."""

    last_hidden_state: Tensor  # (B, T, H)


def split_trunk(model: nn.Module) -> Split:
    """Return the model's trunk, cut below the lowest layer that an adapter has a part in.

    Not every architecture can be cut: one whose layers differ in type, or that does something of
    its own between embeddings and layers, stays whole.
    """
    trunk = trunk_of(model)
    whole = Split(Embeddings(cast(Any, trunk).get_input_embeddings()), trunk, 0)
    first = lowest_adapted_layer(model)
    kinds = set(getattr(trunk.config, "layer_types", None) or [])
    layers = getattr(trunk, "layers", None)
    if not first or len(kinds) > 1 or not isinstance(layers, nn.ModuleList):
        return whole
    lower, upper = _part(trunk, layers[:first]), _part(trunk, layers[first:])
    cast(Any, lower).norm = nn.Identity()
    cut = Split(lower, upper, first)
    return cut if _agrees(trunk, cut) else whole


@contextmanager
def recomputing(part: nn.Module) -> Iterator[None]:
    """Keep of each layer of `part` only what goes in; the backward pass computes the rest again.

    Layers then neither read nor write a cache. They are told that they are in training, which is
    when transformers recomputes; what they are made of is not, so that no dropout wakes up.
    """
    layers: list[Any] = [m for m in part.modules() if isinstance(m, GradientCheckpointingLayer)]
    if not layers:
        raise PipelineError(
            "Layers of this base model cannot be computed again. Switch gradient_checkpointing off "
            "and lower micro_batch_size instead."
        )
    again = partial(checkpoint, use_reentrant=False)
    for layer in layers:
        layer.gradient_checkpointing, layer.training = True, True
        layer._gradient_checkpointing_func = again
    try:
        yield
    finally:
        for layer in layers:
            layer.gradient_checkpointing, layer.training = False, False


def lowest_adapted_layer(model: nn.Module) -> int:
    """Return the lowest layer that any adapter has a part in; 0 if that cannot be told."""
    found = [LAYER.search(name) for name, _ in model.named_parameters() if "lora_" in name]
    return min((int(layer.group(1)) if layer else 0 for layer in found), default=0)


def _part(trunk: nn.Module, layers: nn.ModuleList) -> nn.Module:
    part = copy.copy(trunk)
    part._modules = dict(trunk._modules)  # else the trunk itself would be cut
    cast(Any, part).layers = layers
    return part


@torch.no_grad()
def _agrees(trunk: nn.Module, cut: Split) -> bool:
    ids = torch.arange(CHECKED_TOKENS, device=next(trunk.parameters()).device).unsqueeze(0)
    below = cut.lower(input_ids=ids, use_cache=False).last_hidden_state
    above = cut.upper(inputs_embeds=below, use_cache=False).last_hidden_state
    return torch.equal(above, trunk(input_ids=ids, use_cache=False).last_hidden_state)
