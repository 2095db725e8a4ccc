"""What the processes of one run tell each other. A run of one process tells nobody.

Each takes its share of a batch; what the shares come to is put together again, so that all of them
go on with the same numbers and the run learns what one process would.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.parallel import DistributedDataParallel

from training.pipeline.loading import pick_device

T = TypeVar("T")
PATIENCE = timedelta(hours=1)
"""How long the others wait while one measures, answers or writes."""


@contextmanager
def together() -> Iterator[None]:
    """Let the processes that a launcher started know each other; a process alone knows nobody."""
    if "LOCAL_RANK" not in os.environ or dist.is_initialized():
        yield
        return
    device = pick_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def count() -> int:
    """Return how many processes the run has."""
    return dist.get_world_size() if dist.is_initialized() else 1


def own(rows: int) -> slice:
    """Return which of `rows` rows are this process's: equal shares, in the processes' order."""
    number = dist.get_rank() if dist.is_initialized() else 0
    return slice(number * rows // count(), (number + 1) * rows // count())


def any_process(flag: bool) -> bool:
    """Return whether the flag is up in any of the run's processes; all of them wait here."""
    if count() == 1:
        return flag
    raised = torch.tensor(float(flag), device=pick_device())
    dist.all_reduce(raised, op=dist.ReduceOp.MAX)
    return bool(raised.item())


def of_first(value: T) -> T:
    """Return what the first process has; all of them wait here."""
    if count() == 1:
        return value
    told = [value]
    dist.broadcast_object_list(told, device=pick_device())
    return told[0]


def put_together(rows: Tensor, fill: float = 0) -> Tensor:
    """Return the rows of all processes, (N, …) from shares of equal height, in their order.

    Shares (N / processes, T) may differ in width: the narrow ones are filled up on the right.
    """
    if count() == 1:
        return rows
    if rows.dim() > 1:
        widest = torch.tensor(rows.shape[1], device=rows.device)
        dist.all_reduce(widest, op=dist.ReduceOp.MAX)
        rows = pad(rows, (0, int(widest) - rows.shape[1]), value=fill)
    kind, rows = rows.dtype, rows.to(torch.uint8) if rows.dtype == torch.bool else rows
    shares = [torch.empty_like(rows) for _ in range(count())]
    dist.all_gather(shares, rows.contiguous())
    return torch.cat(shares).to(kind)


def add_up(tensors: Iterable[Tensor | None]) -> None:
    """Replace each tensor by its sum over the processes, in place."""
    found = [tensor for tensor in tensors if tensor is not None]
    if count() == 1 or not found:
        return
    whole = torch.cat([tensor.flatten() for tensor in found])
    dist.all_reduce(whole)
    for tensor, total in zip(found, whole.split([t.numel() for t in found]), strict=True):
        tensor.copy_(total.view_as(tensor))


def through(model: nn.Module, read: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """Return read(model, *arguments) as a pass whose gradient the processes average.

    torch averages gradients of what went through the `forward` of its wrapper alone; so `read`,
    which calls parts of the model, stands in for the model's own `forward` here.
    """
    if not isinstance(model, DistributedDataParallel):
        return read(model, *arguments)
    inner = model.module
    inner.forward = lambda: read(inner, *arguments)
    try:
        found: Tensor = model()
    finally:
        del inner.forward
    return found


def added_up(numbers: dict[str, float]) -> dict[str, float]:
    """Return the sums of the processes' numbers; all have the same names."""
    if count() == 1:
        return numbers
    total = torch.tensor(list(numbers.values()), dtype=torch.float64, device=pick_device())
    dist.all_reduce(total)
    return dict(zip(numbers, total.tolist(), strict=True))
