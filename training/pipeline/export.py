"""A policy as a plain model: its adapter merged into the base, to be opened without PEFT.

W ← W + (alpha / rank) B A (Hu et al. 2021, arXiv:2106.09685, §4.1), added up in float32 on the CPU.
What comes out is held against the policy before it is published.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from training.pipeline.checkpoints import check_model_folder, publish
from training.pipeline.config import ExportConfig
from training.pipeline.data import encode_prompt
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.jobs import Job
from training.pipeline.loading import check_base_weights, load_tokenizer, with_adapter
from training.pipeline.reporting import Reporter

CHECKED_PROMPT = [{"role": "user", "content": "Write a haiku about the old pond."}]
CHECKED_TOKENS = 32
STEPS = 4
FLOAT32_MAY_DIFFER = 1e-3
"""By how much of the largest logit the order of additions may set two passes apart."""


def train(job: Job, config: ExportConfig, reporter: Reporter) -> dict[str, Any]:
    """Merge and publish a folder for AutoModelForCausalLM. Return how far it agrees."""
    if job.adapter_path is None:
        raise PipelineError("This checkpoint has no adapter: it is a plain model already.")
    _begin(reporter, 0, "loading the model")
    check_model_folder(Path(job.base_path))
    tokenizer = load_tokenizer(job.base_path)
    base = AutoModelForCausalLM.from_pretrained(
        job.base_path, dtype=torch.float32, local_files_only=True, use_safetensors=True
    )
    check_base_weights(base, job.base_path)
    policy = with_adapter(base, job.adapter_path).eval()
    text = _greedy(policy, encode_prompt(tokenizer, CHECKED_PROMPT), tokenizer.eos_token_id)
    expected = _logits(policy, text)
    _begin(reporter, 1, "merging the adapter")
    merged: nn.Module = policy.merge_and_unload(safe_merge=True)  # safe: refuses weights gone NaN
    if config.half_precision:
        merged = merged.to(torch.bfloat16)
    _begin(reporter, 2, "comparing it with the policy")
    results = _compare(expected, _logits(merged, text), exact=not config.half_precision)
    _begin(reporter, 3, "publishing the model")

    def write(folder: Path) -> None:
        merged.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        if job.card:
            (folder / "README.md").write_text(job.card, encoding="utf-8")

    manifest = {"config": config.to_dict(), "provenance": job.provenance, "results": results}
    publish(Path(job.output_dir), write, manifest)
    reporter.progress(STEPS, STEPS)
    return results


def _begin(reporter: Reporter, step: int, phase: str) -> None:
    if reporter.should_stop():
        raise RunStopped
    reporter.phase(phase)
    reporter.progress(step, STEPS)


@torch.no_grad()
def _greedy(model: nn.Module, ids: list[int], end: int) -> list[int]:
    """Return the prompt and what the model finds most likely after it."""
    for _ in range(CHECKED_TOKENS):
        ids = [*ids, int(_logits(model, ids)[-1].argmax())]
        if ids[-1] == end:
            break
    return ids


@torch.no_grad()
def _logits(model: nn.Module, ids: list[int]) -> Tensor:
    """Return the logits (T, V) at every position."""
    logits: Tensor = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float()
    return logits


def _compare(policy: Tensor, merged: Tensor, *, exact: bool) -> dict[str, Any]:
    difference = float((policy - merged).abs().max() / policy.abs().max())
    if exact and not difference <= FLOAT32_MAY_DIFFER:
        raise PipelineError(
            f"The merged model does not say what the policy says: its logits are off by "
            f"{difference:.1%}. Nothing was published. The adapter may be of a kind that can't be "
            "merged; use it with PEFT."
        )
    same = int((policy.argmax(dim=1) == merged.argmax(dim=1)).sum())
    return {"same_tokens": same, "compared_tokens": len(policy), "logits_off_by": difference}
