"""The losses and estimators as pure tensor functions.

Their derivations, with for-loop twins, are in training/tests/pipeline/test_losses.py.
Shapes: B rows, T tokens of the longest completion; `mask` is 1 on real completion tokens.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

KLEstimator = Literal["k1", "k2", "k3"]


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of `values` where `mask` is 1; 0 where it is nowhere 1."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def masked_whiten(values: Tensor, mask: Tensor, *, shift_mean: bool = True) -> Tensor:
    """Return `values` scaled to unit variance over the mask; with zero mean if `shift_mean`.

    The variance is the unbiased one. Entries outside the mask become 0.
    """
    mean = masked_mean(values, mask)
    count = mask.sum()
    variance = masked_mean((values - mean) ** 2, mask) * count / (count - 1).clamp(min=1)
    whitened = (values - mean) * torch.rsqrt(variance + 1e-8)
    return (whitened if shift_mean else whitened + mean) * mask


def token_log_probs(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return log p(token) for logits (…, V) and tokens (…); the softmax in float32."""
    logits = logits.float()
    chosen = logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    return chosen - torch.logsumexp(logits, dim=-1)


def token_entropy(logits: Tensor) -> Tensor:
    """Return the entropy in nats of each distribution in logits (…, V)."""
    log_probs = F.log_softmax(logits.float(), dim=-1)
    return -(log_probs.exp() * log_probs).sum(dim=-1)


def kl_estimate(log_probs: Tensor, ref_log_probs: Tensor, estimator: KLEstimator = "k1") -> Tensor:
    """Return an estimate of KL(π‖π_ref) from each token that π drew (Schulman 2020).

    With d = log π − log π_ref: k1 = d, unbiased, of either sign; k2 = d²/2, biased, never negative;
    k3 = e^(−d) − 1 + d, unbiased and never negative. http://joschu.net/blog/kl-approx.html
    """
    difference = log_probs - ref_log_probs
    match estimator:
        case "k1":
            return difference
        case "k2":
            return difference**2 / 2
        case "k3":
            return torch.expm1(-difference) + difference


def shaped_rewards(
    scores: Tensor,
    log_probs: Tensor,
    ref_log_probs: Tensor,
    mask: Tensor,
    kl_coef: float,
    estimator: KLEstimator = "k1",
) -> Tensor:
    """Return per-token rewards (B, T): −kl_coef·KL of each token, plus the score at the end.

    The score (B,) falls on the last real token (Ziegler et al. 2019, arXiv:1909.08593).
    """
    rewards = -kl_coef * kl_estimate(log_probs, ref_log_probs, estimator) * mask
    last = mask.sum(dim=1).long().clamp(min=1) - 1  # (B,)
    return rewards.scatter_add(1, last.unsqueeze(1), scores.unsqueeze(1).to(rewards.dtype))


def gae(
    rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Return advantages and returns, both (B, T) (Schulman et al. 2016, arXiv:1506.02438).

    δ_t = r_t + γ V_{t+1} − V_t and A_t = δ_t + γλ A_{t+1}, with V and A zero behind the last
    real token. Returns are A + V.
    """
    values = values * mask
    advantages = torch.zeros_like(rewards)
    running = torch.zeros_like(rewards[:, 0])
    for t in reversed(range(rewards.shape[1])):
        behind = values[:, t + 1] if t + 1 < rewards.shape[1] else torch.zeros_like(running)
        delta = rewards[:, t] + gamma * behind - values[:, t]
        running = (delta + gamma * lam * running) * mask[:, t]
        advantages[:, t] = running
    return advantages, (advantages + values) * mask


class PolicyLoss(NamedTuple):
    """The clipped surrogate and what an engineer watches about it (all scalars)."""

    loss: Tensor
    clip_fraction: Tensor
    ratio: Tensor
    approx_kl: Tensor


def policy_loss(
    log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, mask: Tensor, clip_range: float
) -> PolicyLoss:
    """Return PPO's clipped surrogate, negated, as a mean over tokens (arXiv:1707.06347, eq. 7)."""
    log_ratio = (log_probs - old_log_probs) * mask
    ratio = log_ratio.exp()
    unclipped = -advantages * ratio
    clipped = -advantages * ratio.clamp(1 - clip_range, 1 + clip_range)
    return PolicyLoss(
        loss=masked_mean(torch.maximum(unclipped, clipped), mask),
        clip_fraction=masked_mean((clipped > unclipped).float(), mask).detach(),
        ratio=masked_mean(ratio, mask).detach(),
        approx_kl=masked_mean(ratio - 1 - log_ratio, mask).detach(),
    )


def value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, clip_range: float
) -> Tensor:
    """Return half the clipped squared error of the values, as a mean over tokens.

    As OpenAI's baselines do it: the larger of the errors of the new value and of the new value
    held within `clip_range` of the old one.
    """
    held = torch.minimum(torch.maximum(values, old_values - clip_range), old_values + clip_range)
    errors = torch.maximum((values - returns) ** 2, (held - returns) ** 2)
    return 0.5 * masked_mean(errors, mask)


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """Return which share of the returns' variance the values foretold; 0 where there is none.

    1 is a perfect value function, 0 no better than the mean, below 0 worse than it.
    """
    kept = mask.bool()
    spread = returns[kept].var(unbiased=False).item()
    return 1 - (returns - values)[kept].var(unbiased=False).item() / spread if spread > 0 else 0.0


def ptx_loss(log_probs: Tensor, mask: Tensor) -> Tensor:
    """Return the supervised loss that PPO-ptx mixes in: mean −log π of demonstrated tokens.

    InstructGPT (arXiv:2203.02155, eq. 2), with demonstrations in place of pretraining text.
    """
    return -masked_mean(log_probs, mask)


def grouped_pairwise_loss(
    scores: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    group: Tensor,
    margin: Tensor | None = None,
    target: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Return InstructGPT's reward-model loss (arXiv:2203.02155, eq. 1), with soft targets.

    `scores` (N,) of completions; pairs (P,) index into them; `group` (P,) says which prompt a pair
    belongs to. Every prompt weighs the same: its pairs count 1/|pairs of the prompt| each, which
    is 1/C(K, 2) where nothing is tied. `target` (P,) is the share of votes for the chosen one and
    `margin` (P,) how much further apart the two should be (Llama 2, arXiv:2307.09288, eq. 2); with
    t and m the loss of a pair is −t log σ(Δ − m) − (1 − t) log σ(m − Δ), least at Δ = logit t + m.
    `weight` (P,) multiplies the loss of a pair; the others of its prompt keep theirs.
    """
    gap = scores[chosen] - scores[rejected]
    if margin is not None:
        gap = gap - margin
    target = torch.ones_like(gap) if target is None else target
    losses = F.binary_cross_entropy_with_logits(gap, target, reduction="none")
    if weight is not None:
        losses = losses * weight
    _, index, counts = torch.unique(group, return_inverse=True, return_counts=True)
    return (losses / counts[index]).sum() / len(counts)


def adapted_kl_coef(kl_coef: float, kl: float, target: float, episodes: int, horizon: int) -> float:
    """Return the next KL coefficient (Ziegler et al. 2019, §2.2): proportional, clipped at 20 %."""
    error = min(max(kl / target - 1, -0.2), 0.2)
    return kl_coef * (1 + error * episodes / horizon)
