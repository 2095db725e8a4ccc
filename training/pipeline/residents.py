"""Models that stay in memory: the bases, and the adapters on each, that were used last.

Adapters are switched, not merged. A merged adapter would need a copy of the base for each policy,
or to be taken out again before the next one, which leaves rounding errors in the weights.
"""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from training.pipeline.checkpoints import check_adapter
from training.pipeline.events import Report
from training.pipeline.loading import load_base, load_tokenizer
from training.pipeline.low_rank import compute_as_base
from training.pipeline.machine import memory_here

MOST_BASES = 2
"""As many as are compared side by side, where both fit into memory."""
MOST_ADAPTERS = 4
"""On each base."""
ROOM_FOR_LOADING = 2.5
"""Free memory that a model asks for, as a multiple of its files: those of bfloat16 may be computed
in float32, and something must be left to compute with."""
UNLIMITED_CONTEXT = 1_000_000
"""Of a model whose config names no longest sequence."""


@dataclass
class ResidentBase:
    """A base model with its tokenizer and the adapters that lie on it."""

    path: str
    model: PreTrainedModel | PeftModel
    tokenizer: PreTrainedTokenizerBase
    context: int
    """Tokens of the longest sequence, prompt and completion together."""
    adapters: OrderedDict[str, str] = field(default_factory=OrderedDict)
    """The name of each path's adapter, last used last."""


class ResidentModels:
    """What is in memory; loads what is missing and drops what was not used for longest."""

    def __init__(self) -> None:
        self._bases: OrderedDict[str, ResidentBase] = OrderedDict()
        self._adapters_loaded = 0

    def base(self, path: str, report: Report) -> ResidentBase:
        """Return the base model at `path`; what was not used for longest makes room for it."""
        if path in self._bases:
            self._bases.move_to_end(path)
            return self._bases[path]
        report({"event": "phase", "phase": f"loading {path}"})
        while self._bases and (len(self._bases) >= MOST_BASES or not _has_room(path)):
            self._bases.popitem(last=False)
            self.release_memory()
        tokenizer, model = load_tokenizer(path), load_base(path).eval()
        longest = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self._bases[path] = ResidentBase(path, model, tokenizer, longest or UNLIMITED_CONTEXT)
        return self._bases[path]

    def can_hold(self, path: str, beside: set[str]) -> bool:
        """Return whether the base model at `path` can be in memory while others are in use."""
        if path in self._bases or not beside:
            return True
        return len(beside) < MOST_BASES and _has_room(path)

    @contextmanager
    def policy(
        self, base_path: str, adapter_path: str | None, report: Report
    ) -> Iterator[tuple[torch.nn.Module, PreTrainedTokenizerBase]]:
        """Give the base with the adapter at `adapter_path` switched on, or without any."""
        base = self.base(base_path, report)
        name = self._adapter(base, adapter_path, report) if adapter_path else None
        if not isinstance(base.model, PeftModel):
            yield base.model, base.tokenizer
            return
        if name is None:
            with base.model.disable_adapter():
                yield base.model, base.tokenizer
            return
        if base.model.active_adapter != name:
            base.model.set_adapter(name)
        yield base.model, base.tokenizer

    def release_memory(self) -> None:
        """Give back what no model holds any more."""
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _adapter(self, base: ResidentBase, path: str, report: Report) -> str:
        """Return the name of the adapter, loaded; a checkpoint's folder never changes."""
        if path in base.adapters:
            base.adapters.move_to_end(path)
            return base.adapters[path]
        report({"event": "phase", "phase": f"loading {path}"})
        check_adapter(path)
        self._adapters_loaded += 1
        name = f"adapter-{self._adapters_loaded}"
        try:
            if isinstance(base.model, PeftModel):
                base.model.load_adapter(path, adapter_name=name)
            else:
                base.model = PeftModel.from_pretrained(base.model, path, adapter_name=name).eval()
            compute_as_base(base.model)
        except Exception:
            del self._bases[base.path]  # half an adapter may lie on it
            raise
        base.adapters[path] = name
        while len(base.adapters) > MOST_ADAPTERS:
            _, oldest = base.adapters.popitem(last=False)
            base.model.delete_adapter(oldest)
        return name


def _has_room(path: str) -> bool:
    """Return whether a model fits into memory beside what is there."""
    needed = ROOM_FOR_LOADING * sum(f.stat().st_size for f in Path(path).glob("*.safetensors"))
    if torch.cuda.is_available():
        return bool(needed <= torch.cuda.mem_get_info()[0])
    memory = memory_here()
    return memory is not None and needed <= memory.free
