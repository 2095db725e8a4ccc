"""Attention with a gradient of our own, against torch's of the same formula."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface, LlamaForCausalLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from training.pipeline.attention import FUSED, MOST_SCORES, Attention
from training.pipeline.loading import load_base

ROWS, SHARED, GROUP, WIDTH = 3, 2, 3, 8


def in_full(query: Tensor, key: Tensor, value: Tensor, seen: Tensor, scale: float) -> Tensor:
    """Each head by itself; rows that may read nothing are zeros."""
    rows = []
    for head in range(query.shape[1]):
        scores = query[:, head] @ key[:, head // GROUP].transpose(1, 2) * scale
        weights = functional.softmax(scores.masked_fill(~seen[:, 0], -1e30), dim=-1)
        rows.append((weights * seen[:, 0]) @ value[:, head // GROUP])
    return torch.stack(rows, dim=1)


def drawn(queries: int, keys: int, width: int = WIDTH) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)

    def normal(heads: int, length: int, width: int = WIDTH) -> Tensor:
        shape = (ROWS, length, heads, width)  # as projections leave it
        found = torch.randn(shape, dtype=torch.float64, generator=generator)
        return found.transpose(1, 2).requires_grad_()

    return normal(SHARED * GROUP, queries), normal(SHARED, keys), normal(SHARED, keys, width)


@pytest.mark.parametrize("is_masked", [True, False])
def test_output_and_gradient_are_those_of_the_formula(is_masked: bool) -> None:
    queries, keys = (5, 9) if is_masked else (7, 7)
    given = drawn(queries, keys, width=5)  # some models have values of another width
    seen = torch.ones(ROWS, 1, queries, keys, dtype=torch.bool).tril(keys - queries)
    if is_masked:
        seen[1, :, :, :3] = False  # padding
        seen[2, :, 0] = False  # a position that reads nothing
    upstream = torch.randn(
        ROWS, SHARED * GROUP, queries, 5, generator=torch.Generator().manual_seed(1)
    )
    ours = Attention.apply(*given, seen if is_masked else None, 0.3)
    expected = in_full(*given, seen, 0.3)
    assert torch.allclose(ours, expected, atol=1e-6)
    found = torch.autograd.grad(ours, given, upstream.double())
    wanted = torch.autograd.grad(expected, given, upstream.double())
    for name, one, other in zip(("query", "key", "value"), found, wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-6), name  # its softmax is in float32


def gradients(model: LlamaForCausalLM, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    (logits.float() * mask.unsqueeze(-1)).pow(2).mean().backward()
    return {name: p.grad.float() for name, p in model.named_parameters() if p.grad is not None}


def test_a_model_in_bfloat16_gets_the_gradients_of_the_fused_kernel(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_base(str(tiny_model), torch.bfloat16).requires_grad_(True)
    ids = torch.randint(0, 200, (3, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, :5] = 0
    ours = gradients(model, ids, mask)
    monkeypatch.setitem(AttentionInterface._global_mapping, FUSED, sdpa_attention_forward)
    fused = gradients(model, ids, mask)
    assert fused.keys() == ours.keys()
    assert any(not torch.equal(gradient, fused[name]) for name, gradient in ours.items())
    for name, gradient in ours.items():
        distance = (gradient - fused[name]).norm() / fused[name].norm()
        assert distance < 0.03, name  # bfloat16 keeps eight bits


def test_large_scores_lose_nothing_to_bfloat16() -> None:
    rounded = [(4 * part).detach().bfloat16().requires_grad_() for part in drawn(16, 16)]
    upstream = torch.randn(rounded[0].shape, generator=torch.Generator().manual_seed(1))
    seen = torch.ones(ROWS, 1, 16, 16, dtype=torch.bool).tril()
    doubles = [part.detach().double().requires_grad_() for part in rounded]
    right = torch.autograd.grad(in_full(*doubles, seen, 1.0), doubles, upstream.double())
    found = torch.autograd.grad(Attention.apply(*rounded, seen, 1.0), rounded, upstream.bfloat16())
    for name, one, other in zip(("query", "key", "value"), found, right, strict=True):
        assert (one - other).norm() < 0.02 * other.norm(), name


def test_long_texts_and_other_types_go_to_the_library(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_base(str(tiny_model), torch.bfloat16).requires_grad_(True)
    lengths: list[int] = []
    forward = Attention.forward

    def counted(context: object, query: Tensor, *rest: object) -> Tensor:
        lengths.append(query.shape[2])
        return forward(context, query, *rest)

    monkeypatch.setattr(Attention, "forward", staticmethod(counted))
    longest = int(MOST_SCORES**0.5)
    for length in (longest, longest + 1):
        model(input_ids=torch.ones(1, length, dtype=torch.long), use_cache=False)
    with torch.no_grad():
        model(input_ids=torch.ones(1, 4, dtype=torch.long), use_cache=False)
    model.float()(input_ids=torch.ones(1, 4, dtype=torch.long), use_cache=False)
    assert set(lengths) == {longest}
