"""TRL's language-model head on a processor: the same numbers of fewer positions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from trl.kernels import chunked_logprob
from trl.trainer import utils

from training.pipeline import fused_head
from training.pipeline.fused_head import suit_the_processor
from training.pipeline.loading import load_base


def learned(tiny_model: Path, labels: Tensor) -> tuple[Any, dict[str, Tensor]]:
    """Return what the head says of the labels, and the gradients of the loss."""
    model = load_base(str(tiny_model), torch.float32).requires_grad_(True)
    utils.add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    ids = labels.clamp(min=7)
    said = model(input_ids=ids, labels=labels, fused_lm_head=True)
    said.loss.backward()
    return said, {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.skipif(torch.cuda.is_available(), reason="A GPU has a kernel for it.")
def test_it_reads_the_positions_of_the_loss_alone_and_says_the_same(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = torch.arange(20, 60).view(2, 20)
    labels[:, :12] = labels[1, -3:] = -100  # prompts and padding
    monkeypatch.setattr(utils, "_use_triton", lambda device: False)
    monkeypatch.setattr(chunked_logprob, "TOKEN_CHUNK_SIZE", 4096)
    theirs, gradients = learned(tiny_model, labels)

    read: list[int] = []

    class Watched:
        @staticmethod
        def apply(hidden: Tensor, *args: Any) -> Any:
            read.append(len(hidden))
            return chunked_logprob.ChunkedLogProbFunction.apply(hidden, *args)

    monkeypatch.setattr(utils, "_ChunkedLogProbFunction", Watched)
    monkeypatch.setattr(fused_head, "TILE", 5)
    suit_the_processor()
    ours, others = learned(tiny_model, labels)
    assert read == [8 + 5]
    for name in ("loss", "log_probs", "entropy", "is_top1"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name))
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, msg=name)
