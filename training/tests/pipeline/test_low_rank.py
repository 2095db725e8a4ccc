"""Adapters that compute in the type of their base, against PEFT's own layers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor

from training.pipeline.config import SFTConfig
from training.pipeline.loading import add_policy, load_base, new_lora
from training.pipeline.low_rank import LowRankLinear, compute_as_base

IDS = torch.arange(20, 44).view(2, 12)


def adapted(tiny_model: Path, dtype: torch.dtype, **changes: object) -> PeftModel:
    """A base with an adapter of PEFT's layers that is not the identity."""
    torch.manual_seed(3)
    lora = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"], **changes)
    model = get_peft_model(load_base(str(tiny_model), dtype), lora)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def answer(model: PeftModel) -> tuple[Tensor, dict[str, Tensor]]:
    model.zero_grad()
    logits = model(input_ids=IDS).logits.float()
    logits.logsumexp(-1).sum().backward()
    return logits.detach(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def test_in_float32_not_a_bit_differs(tiny_model: Path) -> None:
    model = adapted(tiny_model, torch.float32)
    logits, gradients = answer(model)
    compute_as_base(model)
    assert any(isinstance(module, LowRankLinear) for module in model.modules())
    again, others = answer(model)
    assert torch.equal(logits, again)
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, others[name], rtol=1e-5, atol=1e-6), name


def test_a_base_in_bfloat16_stays_so_and_what_is_trained_stays_in_float32(tiny_model: Path) -> None:
    exact, wanted = answer(adapted(tiny_model, torch.float32))
    model = compute_as_base(adapted(tiny_model, torch.bfloat16))
    types: set[torch.dtype] = set()
    for name, module in model.named_modules():
        if name.endswith(("q_proj", "down_proj")):
            module.register_forward_hook(lambda _m, given, out: types.add(out.dtype))
    logits, gradients = answer(model)
    assert types == {torch.bfloat16}
    assert (logits - exact).norm() < 0.03 * exact.norm()
    for name, gradient in gradients.items():
        assert gradient.dtype == torch.float32
        assert (gradient - wanted[name]).norm() < 0.1 * wanted[name].norm(), name


@pytest.mark.parametrize("changes", [{"lora_dropout": 0.5}, {"use_dora": True}])
def test_other_kinds_of_adapter_are_left_to_peft(
    tiny_model: Path, changes: dict[str, object]
) -> None:
    model = adapted(tiny_model, torch.float32, **changes).train()
    torch.manual_seed(0)
    logits, _ = answer(model)
    torch.manual_seed(0)
    again, _ = answer(compute_as_base(model))
    assert torch.equal(logits, again)


def test_adapters_that_come_later_and_none_at_all(tiny_model: Path) -> None:
    config = SFTConfig(lora_rank=4)
    model = add_policy(load_base(str(tiny_model), torch.bfloat16), None, config)
    bare = load_base(str(tiny_model), torch.bfloat16)(input_ids=IDS).logits
    model.add_adapter("later", new_lora(model.get_base_model(), config))
    model.set_adapter("later")
    assert torch.equal(model(input_ids=IDS).logits, bare)  # B is zero, and no type has changed
    for name, parameter in model.named_parameters():
        if "lora_B.later" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    assert not torch.equal(model(input_ids=IDS).logits, bare)
    with model.disable_adapter():
        assert torch.equal(model(input_ids=IDS).logits, bare)
