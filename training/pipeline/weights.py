"""The weights that a hand-written loop trains, in float32 whatever the passes compute in.

An optimiser's update is often smaller than the distance between two neighbouring numbers in
bfloat16: added to a weight in half precision it would vanish. So the optimiser changes a float32
master, and the passes read a rounded copy of it. Where they compute in float32 the two are one.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class MasterWeights:
    """Trained parameters by name, each with its float32 master."""

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self.parameters = dict(parameters)
        self.masters = {
            name: p if p.dtype == torch.float32 else nn.Parameter(p.detach().float())
            for name, p in self.parameters.items()
        }

    def forget_gradients(self) -> None:
        for parameter in (*self.parameters.values(), *self.masters.values()):
            parameter.grad = None

    def collect_gradients(self) -> None:
        """Hand the gradients of the passes to the masters."""
        for name, parameter in self.parameters.items():
            master = self.masters[name]
            if master is not parameter and parameter.grad is not None:
                master.grad = parameter.grad.float()

    @torch.no_grad()
    def spread(self) -> None:
        """Let the passes read what the masters have become."""
        for name, parameter in self.parameters.items():
            if self.masters[name] is not parameter:
                parameter.copy_(self.masters[name])

    def kept(self) -> dict[str, Tensor]:
        """Return a copy of the masters that later updates do not change."""
        return {
            name: master.detach().to("cpu", copy=True).contiguous()
            for name, master in self.masters.items()
        }

    @torch.no_grad()
    def restore(self, kept: Mapping[str, Tensor]) -> None:
        """Take the weights back to a copy that was kept."""
        for name, master in self.masters.items():
            master.copy_(kept[name])
        self.spread()

    def lay_down(self) -> None:
        """Put the masters themselves into the model, to be saved without rounding."""
        for name, parameter in self.parameters.items():
            parameter.data = self.masters[name].data
