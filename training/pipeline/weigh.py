"""What answers to open items would teach a reward model: the last layer's Laplace approximation.

A reward is w' h, h being what the trunk makes of a text. With the trunk standing still, what is not
known of w is a normal distribution around the trained head: as wide as the prior, less what the
answered pairs have told (Kristiadi and others 2020, arXiv:2002.10118, for last layers). What an
answer is worth by that, and in which order to ask: `annotations.algorithms.worth`.

Left out: what is not known of the trunk itself. Items that are longer than the base model's context
and items with a score that is not a number are left out and counted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from annotations.algorithms.worth import Array, Questions, ask_order, belief
from training.pipeline import data
from training.pipeline.checkpoints import publish
from training.pipeline.config import WeighConfig
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.jobs import Job
from training.pipeline.loading import load_scorer, load_tokenizer
from training.pipeline.reporting import Reporter
from training.pipeline.scoring import states_at_end

TAKEN_ONE_BY_ONE = 300
"""More than are handed out before the items are weighed again."""
DIGITS = 6

Row = dict[str, Any]
Read = tuple[Row, Array, Array]
"""A row, the states of its texts, (K, H), and their scores, (K,)."""


@torch.no_grad()
def train(job: Job, config: WeighConfig, reporter: Reporter) -> dict[str, Any]:
    """Weigh every open item, publish what it is worth as worth.jsonl and return how many."""
    rows = data.read_rows(job.data_path)
    reporter.phase("loading the reward model")
    tokenizer = load_tokenizer(job.base_path)
    scorer = load_scorer(job, tokenizer)
    reporter.phase("reading the texts")
    read: list[Read] = []
    left_out: list[dict[str, Any]] = []
    for done, row in enumerate(rows, start=1):
        if reporter.should_stop():
            raise RunStopped
        found = _read(scorer, tokenizer, row)
        if isinstance(found, str):
            left_out.append({"item": row.get("item"), "kind": row.get("kind"), "left_out": found})
        else:
            read.append((row, *found))
        reporter.count(done, len(rows), "text")
    expect_numbers(read, left_out)
    reporter.phase("weighing the items")
    lines = weighed(read, config.ties)
    left_out = [line for line in left_out if line["item"] is not None]
    results = {
        "items": len(lines),
        "known_pairs": sum("item" not in row for row, *_ in read),
        "left_out": len(left_out),
    }

    def write(folder: Path) -> None:
        text = "".join(json.dumps(line) + "\n" for line in [*lines, *left_out])
        (folder / "worth.jsonl").write_text(text, encoding="utf-8")

    manifest = {"config": config.to_dict(), "provenance": job.provenance, "results": results}
    publish(Path(job.output_dir), write, manifest)
    return results


def _read(
    scorer: PeftModel, tokenizer: PreTrainedTokenizerBase, row: Row
) -> tuple[Array, Array] | str:
    """Return the states of a row's texts and their scores, or why it has none."""
    group: dict[str, Any] = {
        "prompt": data.encode_prompt(tokenizer, row["prompt"]),
        "completions": [data.encode_completion(tokenizer, text) for text in row["texts"]],
    }
    context = getattr(scorer.config, "max_position_embeddings", None)
    length = len(group["prompt"]) + max(map(len, group["completions"]))
    if context is not None and length > context:
        return "too long"
    states = states_at_end(scorer, [group], tokenizer.pad_token_id)  # (K, H)
    scores = scorer.get_base_model().score(states).squeeze(-1)
    found, gaps = (one.float().cpu().numpy().astype(float) for one in (states, scores))
    if not (np.isfinite(found).all() and np.isfinite(gaps).all()):
        return "not a number"
    return found, gaps


def expect_numbers(read: Sequence[Read], left_out: Sequence[dict[str, Any]]) -> None:
    """Raise PipelineError where no item is left because the model gave no numbers."""
    if any("item" in row for row, *_ in read):
        return
    if any(line["left_out"] == "not a number" for line in left_out):
        raise PipelineError(
            "The reward model gave no score that is a number. Train it again with a lower learning "
            "rate, or choose another."
        )


def weighed(read: Sequence[Read], ties: float) -> list[dict[str, Any]]:
    """Return a line for each item, of each kind in the order in which to ask.

    Rows without an item are pairs that were judged, the better text first.
    """
    known = [one for one in read if "item" not in one[0]]
    items = [one for one in read if "item" in one[0]]
    x = np.array([a[i] - a[j] for _, a, _ in items for i, j in _pairs(a)])
    if not len(x):
        return []
    covariance = belief(
        np.array([a[0] - a[1] for _, a, _ in known]).reshape(len(known), x.shape[1]),
        np.array([s[0] - s[1] for _, _, s in known]),
        np.array([row["answers"] for row, *_ in known], dtype=float),
        typical=float((x**2).sum(axis=1).mean()),
    )
    lines: list[dict[str, Any]] = []
    for kind in sorted({row["kind"] for row, *_ in items}):
        some = [one for one in items if one[0]["kind"] == kind]
        lines += _of_kind(some, covariance, ties)
    return lines


def _of_kind(items: Sequence[Read], covariance: Array, ties: float) -> list[dict[str, Any]]:
    pairs = [(n, i, j) for n, (_, a, _) in enumerate(items) for i, j in _pairs(a)]
    mean = np.array([items[n][2][i] - items[n][2][j] for n, i, j in pairs])
    share = np.array([2 / len(items[n][2]) for n, *_ in pairs])
    questions = Questions(
        item=np.array([n for n, *_ in pairs], dtype=np.int64),
        difference=np.array([items[n][1][i] - items[n][1][j] for n, i, j in pairs]),
        mean=mean,
        share=share,
        seconds=np.array([row["seconds"] for row, *_ in items], dtype=float),
        ties=ties,
    )
    found = ask_order(questions, covariance, most=TAKEN_ONE_BY_ONE)
    by_item: dict[int, list[dict[str, Any]]] = {}
    for (n, i, j), m, v, part in zip(pairs, mean, found.variance, share, strict=True):
        ids = items[n][0]["ids"]
        by_item.setdefault(n, []).append(
            {
                "first": ids[i],
                "second": ids[j],
                "mean": round(float(m), DIGITS),
                "variance": round(float(v), DIGITS),
                "share": float(part),
            }
        )
    return [
        {
            "item": items[n][0]["item"],
            "kind": items[n][0]["kind"],
            "nats": round(float(found.nats[n]), DIGITS),
            "pairs": by_item[n],
        }
        for n in found.order
    ]


def _pairs(states: Array) -> combinations[tuple[int, int]]:
    return combinations(range(len(states)), 2)
