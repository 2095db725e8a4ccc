"""The loss of demonstrations, without what it does not depend on.

TRL's pass reads every row whole. Here what all rows begin with (the template and the system turn)
is read once, and the head reads only the positions that completions are predicted from. Both leave
the loss as it is, but for rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.pipeline.layers import LayerCache
from training.pipeline.loading import head_of, trunk_of
from training.pipeline.losses import token_entropy, token_log_probs
from training.pipeline.rollouts import MIN_SHARED, read_behind

IGNORED = -100
"""The label of a token that nothing is learned from."""
BEHIND_THE_HEAD = (
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "output_multiplier",
    "lm_head_multiplier",
)
"""Settings of models whose logits are not what the head alone gives."""
MOST_LOGITS = 2**26
"""Logits that are held at once, a quarter of a gigabyte; for more, TRL reckons them in tiles."""


@dataclass(frozen=True)
class CompletionLoss:
    """What a batch says, summed over the tokens of its completions."""

    nll: Tensor  # () negative log-likelihood, with gradients
    entropy: Tensor  # () of the distributions that they are predicted from
    correct: Tensor  # () how many were the likeliest
    tokens: int


def completion_loss(
    model: nn.Module, ids: Tensor, mask: Tensor, labels: Tensor
) -> CompletionLoss | None:
    """Return the loss of rows (N, T), right-padded, with IGNORED for all but completions.

    None where it takes more memory than TRL's own pass does.
    """
    head = head_of(model)
    learned = labels != IGNORED
    if int(learned.sum()) * head.weight.shape[0] > MOST_LOGITS:
        return None
    shared = shared_columns(ids, learned)
    prefix = ids[:1, :shared] if shared else None
    trunk = trunk_of(model)
    cache = LayerCache(trunk.config)
    _, hidden = read_behind(trunk, cache, "input_ids", prefix, ids[:, shared:], mask[:, shared:])
    wanted = learned[:, shared + 1 :]
    tokens = labels[:, shared + 1 :][wanted]  # (R,)
    logits = head(hidden[:, :-1][wanted]).float()  # (R, V)
    with torch.no_grad():
        entropy, correct = token_entropy(logits).sum(), (logits.argmax(dim=-1) == tokens).sum()
    return CompletionLoss(-token_log_probs(logits, tokens).sum(), entropy, correct, len(tokens))


def is_plain(model: nn.Module) -> bool:
    """Return whether the head alone gives the logits."""
    config = trunk_of(model).config.get_text_config()
    return all(getattr(config, name, None) is None for name in BEHIND_THE_HEAD)


def shared_columns(ids: Tensor, learned: Tensor) -> int:
    """Return how many leading tokens of rows (N, T) are the same, if they are worth a pass.

    What a completion's first token is predicted from is not among them.
    """
    same = (ids == ids[:1]).all(dim=0) & ~learned.any(dim=0)
    shared = int(same.int().cumprod(dim=0).sum())
    predicted = int(learned.any(dim=0).int().argmax())
    shared = min(shared, predicted - 1)
    return shared if shared >= MIN_SHARED and len(ids) > 1 else 0
