"""What a reward model makes of the cases of guidelines: two scores for each, by one prompt.

Its zero means nothing by itself, so a case is passed where the answer that a person would choose
scores higher. Cases that are longer than the base model's context are left out and counted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from training.pipeline import data
from training.pipeline.checkpoints import publish
from training.pipeline.config import ReplayConfig
from training.pipeline.errors import RunStopped
from training.pipeline.jobs import Job
from training.pipeline.loading import load_scorer, load_tokenizer
from training.pipeline.reporting import Reporter, check_scores
from training.pipeline.scoring import score_groups


@torch.no_grad()
def train(job: Job, config: ReplayConfig, reporter: Reporter) -> dict[str, Any]:
    """Score every case, publish the scores as scores.jsonl and return how many there are."""
    cases = data.read_rows(job.data_path)
    reporter.phase("loading the reward model")
    tokenizer = load_tokenizer(job.base_path)
    scorer = load_scorer(job, tokenizer)
    context = getattr(scorer.config, "max_position_embeddings", None)
    reporter.phase("scoring the cases")
    scored: list[dict[str, Any]] = []
    for done, case in enumerate(cases, start=1):
        if reporter.should_stop():
            raise RunStopped
        group: dict[str, Any] = {
            "prompt": data.encode_prompt(tokenizer, case["prompt"]),
            "completions": [data.encode_completion(tokenizer, text) for text in case["texts"]],
        }
        length = len(group["prompt"]) + max(map(len, group["completions"]))
        if context is None or length <= context:
            first, second = score_groups(scorer, [group], tokenizer.pad_token_id).tolist()
            check_scores((first, second))
            scored.append({"digest": case["digest"], "first": first, "second": second})
        reporter.count(done, len(cases), "case")
    results = {"cases": len(scored), "left_out_too_long": len(cases) - len(scored)}

    def write(folder: Path) -> None:
        lines = "".join(json.dumps(row) + "\n" for row in scored)
        (folder / "scores.jsonl").write_text(lines, encoding="utf-8")

    manifest = {"config": config.to_dict(), "provenance": job.provenance, "results": results}
    publish(Path(job.output_dir), write, manifest)
    return results
