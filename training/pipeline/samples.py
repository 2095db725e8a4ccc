"""A few completions for people to look at, before and after training."""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from training.pipeline.data import PromptRow, decode
from training.pipeline.reporting import Reporter
from training.pipeline.rollouts import sample

SHOWN = 4
MAX_NEW_TOKENS = 48


def write_samples(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    shown: list[PromptRow],
    seed: int,
    reporter: Reporter,
) -> list[str]:
    """Return one completion for each of the first few prompts, with a seed of its own."""
    prompts = [row.ids for row in shown[:SHOWN]]
    if not prompts:
        return []
    reporter.phase("writing samples")
    drawn = sample(
        model,
        prompts,
        tokenizer,
        max_new_tokens=MAX_NEW_TOKENS,
        generator=torch.Generator().manual_seed(seed),
        after_token=lambda done: reporter.count(done, MAX_NEW_TOKENS, "token"),
    )
    return [
        decode(tokenizer, tokens[: int(mask.sum())].tolist())
        for tokens, mask in zip(drawn.tokens, drawn.mask, strict=True)
    ]


def before_and_after(
    shown: list[PromptRow], before: list[str], after: list[str]
) -> list[dict[str, str]]:
    """Return the rows of the run page's sample table."""
    return [
        {"prompt": row.text, "before": was, "after": now}
        for row, was, now in zip(shown[:SHOWN], before, after, strict=True)
    ]
