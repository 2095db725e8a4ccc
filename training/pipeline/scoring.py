"""What a reward model says of completions, a prompt's own beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor

from training.pipeline.loading import pick_device, trunk_of
from training.pipeline.reporting import check_scores
from training.pipeline.rollouts import pad_right, read_prompts, read_tokens

SCORED_AT_ONCE = 2048
"""Tokens that a pass that only reads takes, padding included, unless one prompt alone has more."""

Group = dict[str, Any]
"""A prompt and its completions, as token ids."""


def score_groups(model: PeftModel, groups: list[dict[str, Any]], pad: int) -> Tensor:
    """Return the score of every completion of every group, in order, (N,) in float32."""
    scores: Tensor = model.get_base_model().score(states_at_end(model, groups, pad))
    return scores.squeeze(-1).float()


def states_at_end(model: PeftModel, groups: list[dict[str, Any]], pad: int) -> Tensor:
    """Return what the trunk makes of every completion of every group, in order, (N, H)."""
    trunk = trunk_of(model)
    prompts = [group["prompt"] for group in groups]
    tokens, mask = pad_right(
        [c for group in groups for c in group["completions"]], pad, pick_device()
    )
    state = read_prompts(trunk, prompts, pad=pad)
    owner = torch.tensor(
        [i for i, group in enumerate(groups) for _ in group["completions"]], device=mask.device
    )
    state.cache.batch_select_indices(owner)
    state.mask = state.mask[owner]
    hidden = read_tokens(trunk, state, tokens, mask)
    last = mask.sum(dim=1) - 1
    return hidden[torch.arange(len(last), device=hidden.device), last]


@torch.no_grad()
def score_each(
    model: PeftModel, groups: Sequence[Group], pad: int, tell: Callable[[int, int], None]
) -> list[list[float]]:
    """Return the scores of each group's completions; `tell` hears how many groups of how many.

    Raise PipelineError for a score that is not a number.
    """
    found: list[list[float]] = []
    for part in by_tokens(groups):
        scores = iter(score_groups(model, part, pad).tolist())
        found += [[next(scores) for _ in group["completions"]] for group in part]
        tell(len(found), len(groups))
    check_scores(chain.from_iterable(found))
    return found


def by_tokens(groups: Sequence[Group]) -> Iterator[list[Group]]:
    """Yield the groups in order, as many together as SCORED_AT_ONCE allows."""
    part: list[Group] = []
    for group in groups:
        if part and _tokens([*part, group]) > SCORED_AT_ONCE:
            yield part
            part = []
        part.append(group)
    if part:
        yield part


def _tokens(groups: list[Group]) -> int:
    """How many tokens a pass over groups reads: prompts once, each as wide as the longest."""
    answers = [answer for group in groups for answer in group["completions"]]
    widest = max(len(group["prompt"]) for group in groups)
    return len(groups) * widest + len(answers) * max(map(len, answers))
