"""What a reward model makes of sampled completions, beside texts that are known.

A regression case asks whether an answer is as good as a person's rewrite of a faulty one; the
reward model's zero means nothing by itself, so all of them are scored by the same model.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from training.pipeline import data
from training.pipeline.errors import PipelineError
from training.pipeline.jobs import Job
from training.pipeline.loading import load_scorer, load_tokenizer
from training.pipeline.reporting import Reporter
from training.pipeline.rollouts import score_groups


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
    for done, prompt in enumerate(prompt_rows, start=1):
        own = [row for row in rows if row["prompt_id"] == prompt["prompt_id"]]
        pairs: dict[str, list[str]] = prompt.get("references", {})
        texts = [row["text"] for row in own] + [text for pair in pairs.values() for text in pair]
        group = {
            "prompt": data.encode_prompt(tokenizer, prompt["prompt"]),
            "completions": [data.encode_completion(tokenizer, text) for text in texts],
        }
        scores = score_groups(scorer, [group], tokenizer.pad_token_id).tolist()
        if not all(map(math.isfinite, scores)):
            raise PipelineError(
                "The reward model gave a score that is not a number. Train it again with a lower "
                "learning rate, or choose another."
            )
        known = iter(scores[len(own) :])
        of_pairs = {name: [next(known), next(known)] for name in pairs}
        for row, score in zip(own, scores, strict=False):
            row["sampling"]["score"] = score
            row["references"] = of_pairs
        reporter.count(done, len(prompt_rows), "prompt")
