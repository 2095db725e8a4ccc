"""Completions of given prompts by a checkpoint, and by a rival where an evaluation asks for one.

Where the best of n is asked for, n candidates are drawn for each (`training.pipeline.best`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from training.pipeline import data, external
from training.pipeline.best import gain, keep_best
from training.pipeline.checkpoints import publish
from training.pipeline.config import SampleConfig, rows_at_once
from training.pipeline.data import PromptRow
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.jobs import ExternalSource, Job
from training.pipeline.loading import (
    check_reward_fits,
    load_base,
    load_scorer,
    load_tokenizer,
    with_adapter,
)
from training.pipeline.references import add_scores
from training.pipeline.reporting import Reporter
from training.pipeline.rollouts import sample


def train(job: Job, config: SampleConfig, reporter: Reporter) -> dict[str, Any]:
    """Sample completions and publish them as completions.jsonl. Return how many there are."""

    def tell(done: int, total: int) -> None:
        if reporter.should_stop():
            raise RunStopped
        reporter.progress(done, total)

    prompt_rows, asked = data.read_rows(job.data_path), external.Outcome()
    if job.rival_external is not None:  # first: it may be out of reach
        asked = _asked(job, job.rival_external, config, reporter)
        answered = {row["prompt_id"] for row in asked.rows}
        prompt_rows = [row for row in prompt_rows if row["prompt_id"] in answered]
    rows = [*answers(job, config, prompt_rows, reporter, tell), *asked.rows]
    rows.sort(key=lambda row: (row["prompt_id"], row["source"]))
    if config.best_of == 1 and job.reward_path:
        add_scores(job, prompt_rows, rows, reporter)

    def write(folder: Path) -> None:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / "completions.jsonl").write_text(lines, encoding="utf-8")

    results = {
        "completions": len(rows),
        **asked.results(),
        **(gain(rows) if config.best_of > 1 else {}),
    }
    publish(Path(job.output_dir), write, {"results": results})
    return results


def answers(
    job: Job,
    config: SampleConfig,
    prompt_rows: list[dict[str, Any]],
    reporter: Reporter,
    tell: Callable[[int, int], None],
) -> list[dict[str, Any]]:
    """Return the completions of the prompts, by prompt and source.

    `tell` hears how many tokens of how many were drawn, and stops the run if it is to stop.
    """
    reporter.phase("loading the model")
    tokenizer = load_tokenizer(job.base_path)
    if config.best_of > 1:
        check_reward_fits(tokenizer, job)
    prompts = data.prompts(prompt_rows, tokenizer, None)
    if not prompts:
        raise PipelineError("There are no prompts to answer. Add prompts to the project first.")
    # the prompts' length decides how much padding a batch has
    prompts.sort(key=lambda row: (len(row.ids), row.prompt_id))
    sources = [("policy", job.base_path, job.adapter_path)]
    if job.rival and job.rival_external is None:
        sources.append(("rival", job.rival_base_path or job.base_path, job.rival_path))
    longest = max(len(row.ids) for row in prompts)
    at_once = rows_at_once(config.batch_size, longest, config.max_new_tokens)
    per_batch = max(1, at_once // (config.completions_per_prompt * config.best_of))
    batches = [prompts[i : i + per_batch] for i in range(0, len(prompts), per_batch)]
    total = len(batches) * len(sources) * config.max_new_tokens
    rows: list[dict[str, Any]] = []
    for number, (source, base_path, adapter_path) in enumerate(sources):
        model = load_merged(base_path, adapter_path)
        reporter.phase("sampling")
        for position, batch in enumerate(batches):
            step = number * len(batches) + position

            def after_token(done: int, before: int = step * config.max_new_tokens) -> None:
                tell(before + done, total)

            rows += _answer(model, tokenizer, batch, config, source, step, after_token)
            after_token(config.max_new_tokens)  # all may have ended early
        del model
    if config.best_of > 1:
        reporter.phase("scoring the candidates")
        of_id = {prompt.prompt_id: prompt for prompt in prompts}
        scorer, pad = load_scorer(job, tokenizer), tokenizer.pad_token_id
        rows = keep_best(scorer, of_id, rows, config.best_of, pad, reporter)
        for row in rows:
            row["sampling"]["reward_model"] = job.provenance.get("reward_checkpoint")
    rows.sort(key=lambda row: (row["prompt_id"], row["source"]))
    return rows


def _asked(
    job: Job, source: ExternalSource, config: SampleConfig, reporter: Reporter
) -> external.Outcome:
    """Return the completions of a server, of the prompts that it answered in full.

    Others are left out of the evaluation: it compares as many of one as of the other.
    """
    reporter.phase("asking the endpoint")

    def tell(done: int, total: int) -> None:
        reporter.count(done, total, "question")

    outcome = external.answers(job, source, "rival", config, tell, reporter.should_stop)
    counts = Counter(row["prompt_id"] for row in outcome.rows)
    wanted = config.completions_per_prompt
    outcome.rows = [row for row in outcome.rows if counts[row["prompt_id"]] == wanted]
    if not outcome.rows:
        raise PipelineError(external.nothing_came(outcome))
    return outcome


def load_merged(base_path: str, adapter_path: str | None) -> torch.nn.Module:
    """Return a policy in one piece, to sample from."""
    base = load_base(base_path)
    if adapter_path is None:
        return base
    # merged: a matrix product less per layer, and this copy is thrown away afterwards
    merged: torch.nn.Module = with_adapter(base, adapter_path).merge_and_unload()
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
    repeat = config.completions_per_prompt * config.best_of
    drawn = sample(
        model,
        [row.ids for row in batch],
        tokenizer,
        max_new_tokens=config.max_new_tokens,
        generator=torch.Generator().manual_seed(config.seed * 1_000_003 + step),
        repeat=repeat,
        temperature=config.temperature,
        top_p=config.top_p,
        after_token=after_token,
    )
    rows = []
    for number, (tokens, mask) in enumerate(zip(drawn.tokens, drawn.mask, strict=True)):
        ids = tokens[: int(mask.sum())].tolist()
        rows.append(
            {
                "prompt_id": batch[number // repeat].prompt_id,
                "source": source,
                "text": data.decode(tokenizer, ids),
                **({"tokens": ids} if config.best_of > 1 else {}),
                "sampling": {
                    "temperature": config.temperature,
                    "top_p": config.top_p,
                    "seed": config.seed,
                    "ended": bool(drawn.ended[number]),
                },
            }
        )
    return rows
