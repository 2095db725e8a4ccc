"""Models that stay in memory: one base, and the adapters on it that were used last.

Adapters are switched, not merged. A merged adapter would need a copy of the base for each policy,
or to be taken out again before the next one, which leaves rounding errors in the weights.
"""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from training.pipeline.checkpoints import check_adapter
from training.pipeline.events import Report
from training.pipeline.loading import load_base, load_tokenizer

MOST_ADAPTERS = 4
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
        self._base: ResidentBase | None = None
        self._adapters_loaded = 0

    def base(self, path: str, report: Report) -> ResidentBase:
        """Return the base model at `path`; another one leaves the memory first."""
        if self._base is None or self._base.path != path:
            report({"event": "phase", "phase": f"loading {path}"})
            self._base = None
            self.release_memory()
            tokenizer, model = load_tokenizer(path), load_base(path).eval()
            longest = getattr(model.config.get_text_config(), "max_position_embeddings", None)
            self._base = ResidentBase(path, model, tokenizer, longest or UNLIMITED_CONTEXT)
        return self._base

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
        except Exception:
            self._base = None  # half an adapter may lie on it
            raise
        base.adapters[path] = name
        while len(base.adapters) > MOST_ADAPTERS:
            _, oldest = base.adapters.popitem(last=False)
            base.model.delete_adapter(oldest)
        return name
