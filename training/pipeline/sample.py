"""Completions of given prompts by a checkpoint, and by a rival where an evaluation asks for one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from training.pipeline import data
from training.pipeline.checkpoints import publish
from training.pipeline.config import Job, SampleConfig
from training.pipeline.data import PromptRow
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.loading import check_adapter, load_base, load_tokenizer
from training.pipeline.reporting import Reporter
from training.pipeline.rollouts import sample


def train(job: Job, config: SampleConfig, reporter: Reporter) -> dict[str, Any]:
    """Sample completions and publish them as completions.jsonl. Return how many there are."""
    reporter.phase("loading the model")
    tokenizer = load_tokenizer(job.base_path)
    prompts = data.prompts(data.read_rows(job.data_path), tokenizer, None)
    if not prompts:
        raise PipelineError("There are no prompts to answer. Add prompts to the project first.")
    # the prompts' length decides how much padding a batch has
    prompts.sort(key=lambda row: (len(row.ids), row.prompt_id))
    sources = [("policy", job.base_path, job.adapter_path)]
    if job.rival:
        sources.append(("rival", job.rival_base_path or job.base_path, job.rival_path))
    per_batch = max(1, config.batch_size // config.completions_per_prompt)
    batches = [prompts[i : i + per_batch] for i in range(0, len(prompts), per_batch)]
    total = len(batches) * len(sources) * config.max_new_tokens
    rows: list[dict[str, Any]] = []
    for number, (source, base_path, adapter_path) in enumerate(sources):
        model = _load(base_path, adapter_path)
        reporter.phase("sampling")
        for position, batch in enumerate(batches):
            step = number * len(batches) + position

            def after_token(done: int, before: int = step * config.max_new_tokens) -> None:
                if reporter.should_stop():
                    raise RunStopped
                reporter.progress(before + done, total)

            rows += _answer(model, tokenizer, batch, config, source, step, after_token)
            after_token(config.max_new_tokens)  # all may have ended early
        del model
    rows.sort(key=lambda row: (row["prompt_id"], row["source"]))

    def write(folder: Path) -> None:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / "completions.jsonl").write_text(lines, encoding="utf-8")

    publish(Path(job.output_dir), write, {"results": {"completions": len(rows)}})
    return {"completions": len(rows)}


def _load(base_path: str, adapter_path: str | None) -> torch.nn.Module:
    base = load_base(base_path)
    if adapter_path is None:
        return base
    check_adapter(adapter_path)
    # merged: a matrix product less per layer, and this copy is thrown away afterwards
    merged: torch.nn.Module = PeftModel.from_pretrained(base, adapter_path).merge_and_unload()
    return merged


def _answer(
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    batch: list[PromptRow],
    config: SampleConfig,
    source: str,
    step: int,
    after_token: Callable[[int], None],
) -> list[dict[str, Any]]:
    drawn = sample(
        model,
        [row.ids for row in batch],
        tokenizer,
        max_new_tokens=config.max_new_tokens,
        generator=torch.Generator().manual_seed(config.seed * 1_000_003 + step),
        repeat=config.completions_per_prompt,
        temperature=config.temperature,
        top_p=config.top_p,
        after_token=after_token,
    )
    rows = []
    for number, (tokens, mask) in enumerate(zip(drawn.tokens, drawn.mask, strict=True)):
        rows.append(
            {
                "prompt_id": batch[number // config.completions_per_prompt].prompt_id,
                "source": source,
                "text": data.decode(tokenizer, tokens[: int(mask.sum())].tolist()),
                "sampling": {
                    "temperature": config.temperature,
                    "top_p": config.top_p,
                    "seed": config.seed,
                    "ended": bool(drawn.ended[number]),
                },
            }
        )
    return rows
