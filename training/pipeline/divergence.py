"""How far a policy is from its reference: on given completions, and on its own."""

from __future__ import annotations

from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from training.pipeline.data import PromptRow
from training.pipeline.layers import Split
from training.pipeline.reporting import Reporter
from training.pipeline.rollouts import enter, pad_right, read_completions, sample, using
from training.pipeline.samples import MAX_NEW_TOKENS
from training.pipeline.trainers import POLICY, REFERENCE

MEASURED_PROMPTS = 32
"""Held-out prompts that the policy answers to have its KL measured."""
BATCH = 16


@torch.no_grad()
def log_ratios(
    model: PeftModel,
    split: Split,
    prompts: list[list[int]],
    completions: list[list[int]],
    pad: int,
    reporter: Reporter,
) -> list[float]:
    """Return log π − log π_ref of each whole completion, in nats.

    Times beta it is the reward that DPO and KTO imply (arXiv:2305.18290, eq. 5), up to a constant
    of the prompt.
    """
    found: list[float] = []
    for start in range(0, len(prompts), BATCH):
        rows = slice(start, start + BATCH)
        tokens, mask = pad_right(completions[rows], pad, model.device)
        entered = enter(split, prompts[rows], tokens, mask, pad=pad)
        policy = read_completions(model, split, entered).log_probs
        with using(model, REFERENCE, back=POLICY):
            reference = read_completions(model, split, entered).log_probs
        found += (policy - reference).sum(dim=1).tolist()
        reporter.count(len(found), len(prompts), "completion")
    return found


def own_divergence(
    model: PeftModel,
    split: Split,
    tokenizer: PreTrainedTokenizerBase,
    held_out: list[PromptRow],
    seed: int,
    reporter: Reporter,
) -> dict[str, Any]:
    """Return the KL to the reference in nats per completion, on completions of the policy's own.

    The mean of log π − log π_ref over what π samples (Schulman's k1).
    """
    prompts = [row.ids for row in held_out[:MEASURED_PROMPTS]]
    if not prompts:
        return {}
    drawn = sample(
        model,
        prompts,
        tokenizer,
        max_new_tokens=MAX_NEW_TOKENS,
        generator=torch.Generator().manual_seed(seed + 1),
        after_token=lambda done: reporter.count(done, MAX_NEW_TOKENS, "token"),
    )
    completions = [
        tokens[: int(mask.sum())].tolist()
        for tokens, mask in zip(drawn.tokens, drawn.mask, strict=True)
    ]
    ratios = log_ratios(model, split, prompts, completions, tokenizer.pad_token_id, reporter)
    return {"kl": sum(ratios) / len(ratios), "kl_prompts": len(prompts)}
