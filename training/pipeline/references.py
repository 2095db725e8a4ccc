"""What a reward model makes of sampled completions, beside texts that are known.

A regression case asks whether an answer is as good as a person's rewrite of a faulty one; the
reward model's zero means nothing by itself, so all of them are scored by the same model.
"""

from __future__ import annotations

from typing import Any

import torch

from training.pipeline import data
from training.pipeline.jobs import Job
from training.pipeline.loading import load_scorer, load_tokenizer
from training.pipeline.reporting import Reporter
from training.pipeline.scoring import score_each


@torch.no_grad()
def add_scores(
    job: Job, prompt_rows: list[dict[str, Any]], rows: list[dict[str, Any]], reporter: Reporter
) -> None:
    """Write each completion's score into its `sampling`, and its prompt's `references` beside it.

    The references of a prompt are pairs of texts by name; what is written are pairs of scores.
    """
    reporter.phase("scoring the answers")
    tokenizer = load_tokenizer(job.base_path)
    scorer = load_scorer(job, tokenizer)
    owns: dict[int, list[dict[str, Any]]] = {prompt["prompt_id"]: [] for prompt in prompt_rows}
    for row in rows:
        owns[row["prompt_id"]].append(row)
    groups = []
    for prompt in prompt_rows:
        texts = [row["text"] for row in owns[prompt["prompt_id"]]]
        texts += [text for pair in prompt.get("references", {}).values() for text in pair]
        groups.append(
            {
                "prompt": data.encode_prompt(tokenizer, prompt["prompt"]),
                "completions": [data.encode_completion(tokenizer, text) for text in texts],
            }
        )

    def tell(done: int, total: int) -> None:
        reporter.count(done, total, "prompt")

    found = score_each(scorer, groups, tokenizer.pad_token_id, tell)
    for prompt, scores in zip(prompt_rows, found, strict=True):
        own, pairs = owns[prompt["prompt_id"]], prompt.get("references", {})
        known = iter(scores[len(own) :])
        of_pairs = {name: [next(known), next(known)] for name in pairs}
        for row, score in zip(own, scores, strict=False):
            row["sampling"]["score"] = score
            row["references"] = of_pairs
