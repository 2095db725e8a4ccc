"""Attention that learns on a processor: torch's forward pass, a backward pass of our own.

Torch's fused kernel has no quick gradient there: of four rows of 75 tokens in bfloat16 it takes
three times as long as the plain products that it stands for. Those are reckoned here from what went
in, one layer at a time, so that nothing more is kept for them than the fused kernel keeps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward

FUSED = "sdpa"
"""What most models attend with. Its name stays: transformers picks masks by it."""
MOST_SCORES = 256 * 256
"""Queries times keys of a row up to which the plain products are the quicker ones."""
NOT_OURS = ("softcap", "position_bias", "cache")
"""Arguments with which the library's function deals alone."""


class Attention(torch.autograd.Function):
    """softmax(q kᵀ · scale + mask) v, for query heads in groups that share keys and values."""

    @staticmethod
    def forward(
        context: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float
    ) -> Tensor:
        """Return (N, heads, Q, Dv). Without a mask, each position reads itself and those before."""
        context.save_for_backward(query, key, value, mask)
        context.scale = scale
        groups = query.shape[1] // key.shape[1]
        return functional.scaled_dot_product_attention(
            query,
            repeat_kv(key, groups),
            repeat_kv(value, groups),
            attn_mask=mask,
            scale=scale,
            is_causal=mask is None and query.shape[2] > 1,
        )

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, mask = context.saved_tensors
        rows, shared = key.shape[:2]
        q = query.reshape(rows, shared, -1, query.shape[-1])
        out = gradients[0].reshape(rows, shared, -1, value.shape[-1])
        # In float32, as in the forward pass: a large score in bfloat16 is off by whole tenths.
        scores = q.float() @ key.float().transpose(2, 3) * context.scale
        weights = _weights(scores, mask, query.shape[2]).to(query.dtype)
        of_value = weights.transpose(2, 3) @ out
        of_weights = out @ value.transpose(2, 3)
        of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
        of_query = (of_scores @ key) * context.scale
        of_key = (of_scores.transpose(2, 3) @ q) * context.scale
        return of_query.reshape(query.shape), of_key, of_value, None, None


def _weights(scores: Tensor, mask: Tensor | None, queries: int) -> Tensor:
    """Return the softmax of scores (N, shared heads, group · Q, K); zeros where all is masked."""
    apart = scores.unflatten(2, (-1, queries))
    if mask is None:
        mask = scores.new_ones(1, 1, queries, scores.shape[-1], dtype=torch.bool).tril()
    hidden = ~mask.unsqueeze(1)  # (N, 1, 1, Q, K)
    apart = apart.masked_fill(hidden, torch.finfo(scores.dtype).min)
    return functional.softmax(apart, -1).masked_fill(hidden, 0).view_as(scores)


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers' `sdpa` does, with the gradient above where it is the quicker one."""
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    ours = (
        torch.is_grad_enabled()
        and query.dtype == torch.bfloat16
        and query.device.type == "cpu"
        and query.shape[2] * key.shape[2] <= MOST_SCORES
        and _is_known(attention_mask, query, key, causal=causal)
        and not dropout
        and not more.get("output_attentions")
        and all(more.get(name) is None for name in NOT_OURS)
    )
    if not ours:
        fused: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, is_causal, **more
        )
        return fused
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    out: Tensor = Attention.apply(query, key, value, attention_mask, scale)
    return out.transpose(1, 2).contiguous(), None


def _is_known(mask: Tensor | None, query: Tensor, key: Tensor, *, causal: bool) -> bool:
    if mask is None:
        return causal and query.shape[2] == key.shape[2]
    return mask.dtype == torch.bool and mask.shape[1] == 1


def learn_quickly() -> None:
    """Let every model of this process that attends with `sdpa` have the gradient above."""
    AttentionInterface.register(FUSED, attend)
