"""A checkpoint measured beside its parent: both answer the same held-out prompts.

Both draw with the same random numbers, which makes the difference narrower and not biased. The KL
is Schulman's k1 over whole completions, log π − log π_base on what π wrote; it is unbiased where
they were drawn at temperature 1 from the whole distribution. One model is in memory at a time, so
each reads what was written before it when its turn comes: child, parent, base, reward model. What
is made of it all stands in `suite_report`.

Where there are regression cases both answer those, too. Whether they pass is found where the cases
are kept (`training.regressions`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from training.pipeline import data
from training.pipeline.checkpoints import publish
from training.pipeline.config import SampleConfig, SuiteConfig, rows_at_once
from training.pipeline.data import PromptRow
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.jobs import Job
from training.pipeline.loading import (
    check_reward_fits,
    head_of,
    load_scorer,
    load_tokenizer,
    trunk_of,
)
from training.pipeline.losses import token_log_probs
from training.pipeline.references import add_scores
from training.pipeline.reporting import Reporter
from training.pipeline.rollouts import (
    pad_right,
    read_prompts,
    read_tokens,
    sample,
)
from training.pipeline.sample import answers as answered_by
from training.pipeline.sample import load_merged
from training.pipeline.scoring import score_each
from training.pipeline.suite_report import Answer, report

LOGITS_AT_ONCE = 1024
"""Positions whose logits over the whole vocabulary are in memory at a time."""

Batches = list[list[PromptRow]]


def train(job: Job, config: SuiteConfig, reporter: Reporter) -> dict[str, Any]:
    """Measure, publish all answers as answers.jsonl and return the report.

    The answers to regression cases are published as cases.jsonl.
    """
    tokenizer = load_tokenizer(job.base_path)
    if job.reward_path is not None:
        check_reward_fits(tokenizer, job)
    prompts = data.prompts(data.read_rows(job.data_path), tokenizer, None)
    if not prompts:
        raise PipelineError("There are no prompts to answer. Add prompts to the project first.")
    prompts.sort(key=lambda row: (len(row.ids), row.prompt_id))  # like lengths, little padding
    longest = max(len(row.ids) for row in prompts)
    at_once = rows_at_once(config.batch_size, longest, config.max_new_tokens)
    per_batch = max(1, at_once // config.completions_per_prompt)
    batches = [prompts[i : i + per_batch] for i in range(0, len(prompts), per_batch)]
    child, parent = _both(job, config, tokenizer, batches, reporter)
    if job.reward_path is not None:
        _score(job, tokenizer, prompts, [*child, *parent], reporter)
    results = report(child, parent, checks=config.checks)
    tried = _on_cases(job, config, reporter)

    def write(folder: Path) -> None:
        rows = [("child", one) for one in child] + [("parent", one) for one in parent]
        lines = "".join(json.dumps(_row(*row), ensure_ascii=False) + "\n" for row in rows)
        (folder / "answers.jsonl").write_text(lines, encoding="utf-8")
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in tried)
        (folder / "cases.jsonl").write_text(lines, encoding="utf-8")

    manifest = {"config": config.to_dict(), "provenance": job.provenance, "results": results}
    publish(Path(job.output_dir), write, manifest)
    return results


def _both(
    job: Job,
    config: SuiteConfig,
    tokenizer: PreTrainedTokenizerBase,
    batches: Batches,
    reporter: Reporter,
) -> tuple[list[Answer], list[Answer]]:
    """Return the answers of child and parent, read by whom they are to be compared with."""
    parent_base = job.rival_base_path or job.base_path
    total = 2 * len(batches) * config.max_new_tokens

    def tell(done: int) -> None:
        if reporter.should_stop():
            raise RunStopped
        reporter.progress(done, total)

    reporter.phase("loading the checkpoint")
    model = load_merged(job.base_path, job.adapter_path)
    reporter.phase("sampling")
    child = _answer(model, tokenizer, batches, config, 0, tell)
    for one, log_prob in zip(child, _read(model, tokenizer, child, batches, reporter), strict=True):
        one.log_prob = log_prob
    del model
    reporter.phase("loading its parent")
    model = load_merged(parent_base, job.rival_path)
    reporter.phase("sampling")
    parent = _answer(model, tokenizer, batches, config, total // 2, tell)
    own = _read(model, tokenizer, parent, batches, reporter)
    of_child = _read(model, tokenizer, child, batches, reporter)
    base_of_parent, base_of_child = own, of_child
    if job.rival_path is not None:
        del model
        reporter.phase("loading the base model")
        model = load_merged(parent_base, None)
        base_of_parent = _read(model, tokenizer, parent, batches, reporter)
        base_of_child = _read(model, tokenizer, child, batches, reporter)
    for one, log_prob, under_base in zip(parent, own, base_of_parent, strict=True):
        one.log_prob, one.under_base, one.under_parent = log_prob, under_base, log_prob
    for one, under_parent, under_base in zip(child, of_child, base_of_child, strict=True):
        one.under_parent, one.under_base = under_parent, under_base
    return child, parent


def _answer(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    batches: Batches,
    config: SuiteConfig,
    told: int,
    tell: Any,
) -> list[Answer]:
    """Return the completions of all prompts, those of one prompt side by side."""
    answers: list[Answer] = []
    repeat = config.completions_per_prompt
    for position, batch in enumerate(batches):
        before = told + position * config.max_new_tokens
        drawn = sample(
            model,
            [row.ids for row in batch],
            tokenizer,
            max_new_tokens=config.max_new_tokens,
            generator=torch.Generator().manual_seed(config.seed * 1_000_003 + position),
            repeat=repeat,
            temperature=config.temperature,
            top_p=config.top_p,
            after_token=lambda done, before=before: tell(before + done),
        )
        tell(before + config.max_new_tokens)  # all may have ended early
        for number, (tokens, mask) in enumerate(zip(drawn.tokens, drawn.mask, strict=True)):
            ids = tokens[: int(mask.sum())].tolist()
            row = batch[number // repeat]
            text, ended = data.decode(tokenizer, ids), bool(drawn.ended[number])
            answers.append(Answer(row.prompt_id, row.text, text, ids, ended))
    return answers


@torch.no_grad()
def _read(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    answers: list[Answer],
    batches: Batches,
    reporter: Reporter,
) -> list[float]:
    """Return the log-probability of each whole completion, at temperature 1."""
    reporter.phase("reading the answers")
    found: list[float] = []
    repeat = len(answers) // sum(map(len, batches))
    for batch in batches:
        some = answers[len(found) : len(found) + len(batch) * repeat]
        found += _log_probs(model, [row.ids for row in batch], some, tokenizer.pad_token_id, repeat)
        reporter.count(len(found), len(answers), "answer")
    return found


def _log_probs(
    model: nn.Module, prompts: list[list[int]], answers: list[Answer], pad: int, repeat: int
) -> list[float]:
    trunk, head = trunk_of(model), head_of(model)
    tokens, mask = pad_right(
        [one.tokens for one in answers], pad, next(trunk.parameters()).device
    )  # (N, T)
    state = read_prompts(trunk, prompts, pad=pad, repeat=repeat)
    last = state.last_hidden.unsqueeze(1)
    hidden = read_tokens(trunk, state, tokens, mask)
    before = torch.cat([last, hidden[:, :-1]], dim=1)  # (N, T, H): what each was drawn from
    rows = max(1, LOGITS_AT_ONCE // tokens.shape[1])
    sums: list[Tensor] = [
        (
            token_log_probs(head(before[at : at + rows]), tokens[at : at + rows])
            * mask[at : at + rows]
        ).sum(dim=1)
        for at in range(0, len(tokens), rows)
    ]
    return [float(one) for one in torch.cat(sums)]


@torch.no_grad()
def _score(
    job: Job,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[PromptRow],
    answers: list[Answer],
    reporter: Reporter,
) -> None:
    """Give every answer its score by the reward model."""
    reporter.phase("scoring the answers")
    scorer = load_scorer(job, tokenizer)
    ids = {row.prompt_id: row.ids for row in prompts}
    by_prompt: dict[int, list[Answer]] = {}
    for one in answers:
        by_prompt.setdefault(one.prompt_id, []).append(one)
    groups = [
        {"prompt": ids[prompt_id], "completions": [one.tokens for one in group]}
        for prompt_id, group in by_prompt.items()
    ]

    def tell(done: int, total: int) -> None:
        reporter.count(done, total, "prompt")

    found = score_each(scorer, groups, tokenizer.pad_token_id, tell)
    for group, scores in zip(by_prompt.values(), found, strict=True):
        for one, score in zip(group, scores, strict=True):
            one.score = score


def _on_cases(job: Job, config: SuiteConfig, reporter: Reporter) -> list[dict[str, Any]]:
    """Return what both answer on the regression cases, scored if there is a reward model."""
    if job.cases is None:
        return []

    def tell(done: int, total: int) -> None:
        if reporter.should_stop():
            raise RunStopped
        reporter.count(done, total, "token")

    prompts = data.read_rows(job.cases.path)
    sampling = SampleConfig(
        seed=config.seed,
        completions_per_prompt=job.cases.answers,
        max_new_tokens=job.cases.max_new_tokens,
        batch_size=config.batch_size,
    )
    rows = answered_by(job, sampling, prompts, reporter, tell)
    if job.reward_path is not None:
        add_scores(job, prompts, rows, reporter)
    return rows


def _row(side: str, one: Answer) -> dict[str, Any]:
    return {
        "side": side,
        "prompt_id": one.prompt_id,
        "text": one.text,
        "ended": one.ended,
        "tokens": len(one.tokens),
        "log_prob": one.log_prob,
        "under_base": one.under_base,
        "score": one.score,
    }
