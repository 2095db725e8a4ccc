"""Completions that are written side by side, and that join and leave between any two tokens.

The rows of a batch share a key-value cache, padded on the left to the longest of them. Who joins
is read into a cache of its own first, which is then laid below the others. Each row draws from a
generator of its own, so up to rounding its text does not depend on who else is there.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import pad as pad_tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from training.pipeline.rollouts import (
    PromptState,
    draw_tokens,
    draws_for,
    next_hidden,
    read_prompts,
)


@dataclass(eq=False)
class Row:
    """One completion while it is written."""

    ids: list[int]
    """The prompt."""
    seed: int
    temperature: float
    """0 takes the most likely token."""
    top_p: float
    max_new_tokens: int
    tokens: list[int] = field(default_factory=list)
    has_ended: bool = False
    """The end token came."""
    is_over: bool = False
    """It gets no further token: it has ended, is long enough, or was stopped."""
    generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)

    def take(self, token: int, end: int) -> None:
        """Add the next token, unless it gets none any more."""
        if self.is_over:
            return
        self.tokens.append(token)
        self.has_ended = token == end
        self.is_over = self.has_ended or len(self.tokens) >= self.max_new_tokens


class Batch:
    """Rows of one policy, with what it knows of them by now."""

    def __init__(self, *, pad: int, end: int) -> None:
        self.pad = pad
        self.end = end
        self.rows: list[Row] = []
        self._state: PromptState | None = None

    @property
    def takes_others(self) -> bool:
        """Return whether caches can be laid below each other: windows and states can't."""
        return self._state is None or _is_plain(self._state.cache)

    @torch.no_grad()
    def admit(self, trunk: nn.Module, rows: list[Row]) -> None:
        """Read rows from their prompt to where they are, and let them join."""
        state = read_prompts(trunk, [row.ids + row.tokens for row in rows], pad=self.pad)
        self._state = state if self._state is None else _below(self._state, state)
        self.rows += rows

    @torch.no_grad()
    def draw(self, head: nn.Module) -> None:
        """Give each row its next token."""
        if self._state is None or all(row.is_over for row in self.rows):
            return
        logits = head(self._state.last_hidden).float()  # (A, V)
        for row, token in zip(self.rows, draw_each(logits, self.rows), strict=True):
            row.take(token, self.end)

    @torch.no_grad()
    def advance(self, trunk: nn.Module) -> None:
        """Let the rows that are over leave, and read the last token of the others."""
        if self._state is None:
            return
        staying = [number for number, row in enumerate(self.rows) if not row.is_over]
        if len(staying) < len(self.rows):
            self.rows = [self.rows[number] for number in staying]
            self._state = _only(self._state, staying) if staying else None
        if self._state is None:
            return
        last = torch.tensor([row.tokens[-1] for row in self.rows], device=self._state.mask.device)
        self._state.last_hidden = next_hidden(trunk, self._state, last)


def draw_each(logits: Tensor, rows: list[Row]) -> list[int]:
    """Return one token per row (A, V), each by its own temperature, top-p and generator."""
    tokens = logits.argmax(dim=-1)
    alike: dict[float, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        if row.temperature > 0 and row.top_p > 0:
            alike[row.top_p].append(number)
    for top_p, numbers in alike.items():
        some = [rows[number] for number in numbers]
        wanted = draws_for(top_p)
        uniform = torch.stack([torch.rand(wanted, generator=row.generator) for row in some])
        heat = torch.tensor([[row.temperature] for row in some], device=logits.device)
        warm = logits[numbers] / heat
        tokens[numbers] = draw_tokens(warm, uniform.to(logits.device), top_p)[0]
    drawn: list[int] = tokens.tolist()
    return drawn


def _is_plain(cache: DynamicCache) -> bool:
    return all(type(layer) is DynamicLayer for layer in cache.layers)


def _below(upper: PromptState, lower: PromptState) -> PromptState:
    """Return what is known of the rows of both, padded on the left to the same width."""
    width = max(upper.mask.shape[1], lower.mask.shape[1])
    for ours, theirs in zip(upper.cache.layers, lower.cache.layers, strict=True):
        for name in ("keys", "values"):
            both = [getattr(layer, name) for layer in (ours, theirs)]  # (B, heads, P, D)
            wide = [pad_tensor(t, (0, 0, width - t.shape[2], 0)) for t in both]
            setattr(ours, name, torch.cat(wide))
    masks = [pad_tensor(state.mask, (width - state.mask.shape[1], 0)) for state in (upper, lower)]
    hidden = torch.cat([upper.last_hidden, lower.last_hidden])
    return PromptState(upper.cache, torch.cat(masks), hidden)


def _only(state: PromptState, numbers: list[int]) -> PromptState:
    """Return what is known of some rows, without the padding that only the others needed."""
    kept = torch.tensor(numbers, device=state.mask.device)
    state.cache.batch_select_indices(kept)
    mask = state.mask[kept]
    if _is_plain(state.cache) and (left := int(mask.any(dim=0).int().argmax())):
        mask = mask[:, left:]
        for layer in state.cache.layers:
            layer.keys, layer.values = layer.keys[:, :, left:], layer.values[:, :, left:]
    return PromptState(state.cache, mask, state.last_hidden[kept])
