"""LoRA's product in the number type of the base.

PEFT keeps an adapter in float32 and reads it so: of a base in half precision the activations are
converted to and fro around each of its layers, and the sum is made in float32. Here the adapter's
weights, which are small, are converted instead. What is trained stays in float32, so that no update
is too small to be noticed.
"""

from __future__ import annotations

from typing import Any

from peft import PeftModel
from peft.tuners import lora
from torch import Tensor, nn
from torch.nn.functional import linear


class LowRankLinear(lora.Linear):
    """PEFT's layer, with x Aᵀ·s Bᵀ in the type of x: the scale s on r numbers a token, not on all.

    A scale that is a power of two, such as ours, changes no bit by that.
    """

    def forward(self, x: Tensor, *args: Any, **more: Any) -> Tensor:
        names = [name for name in self.active_adapters if name in self.lora_A]
        if args or more or self.disable_adapters or self.merged or not all(map(self._plain, names)):
            whole: Tensor = super().forward(x, *args, **more)
            return whole
        result: Tensor = self.base_layer(x)
        for name in names:
            down, up = (part[name].weight.to(x.dtype) for part in (self.lora_A, self.lora_B))
            result = result + linear(linear(x, down) * self.scaling[name], up)
        return result

    def _plain(self, name: str) -> bool:
        return (
            isinstance(self.lora_dropout[name], nn.Identity)
            and name not in self.lora_variant
            and self.lora_B[name].bias is None
        )


def compute_as_base(model: PeftModel) -> PeftModel:
    """Let adapters compute in the base's number type: those of now, and later ones beside them.

    A later one with a part in modules where there was none needs this again.
    """
    for module in model.modules():
        if type(module) is lora.Linear:
            module.__class__ = LowRankLinear
    return model
