"""Rejection sampling: supervised fine-tuning on the best of n completions of each prompt.

Touvron et al. 2023 (arXiv:2307.09288), §3.2.3; Dong et al. 2023 (arXiv:2304.06767), RAFT. The
parent answers every prompt n times, the reward model keeps one answer of each, and sft learns from
those. What was kept is written down before the first step, so that a resumed run learns from the
same. Left out: several rounds in one run.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from training.pipeline import data, sft
from training.pipeline.best import gain
from training.pipeline.checkpoints import is_whole, publish, read_manifest
from training.pipeline.config import RejectionConfig
from training.pipeline.errors import PipelineError
from training.pipeline.jobs import Job
from training.pipeline.reporting import Reporter
from training.pipeline.sample import answers


def train(job: Job, config: RejectionConfig, reporter: Reporter) -> dict[str, Any]:
    """Draw, choose, learn and publish. Return what was chosen and how well it was learned."""
    folder = Path(job.work_dir) / "best"
    if not is_whole(folder):
        _choose(job, config, reporter, folder)
    chosen = read_manifest(folder)["results"]
    fine_tuning = replace(job, data_path=str(folder / "rows.jsonl"))
    return sft.train(fine_tuning, config.fine_tuning(), reporter, known=chosen)


def _choose(job: Job, config: RejectionConfig, reporter: Reporter, folder: Path) -> None:
    """Write the best completion of each prompt as a row to learn from, whole or not at all."""
    rows = [row for row in data.read_rows(job.data_path) if row["split"] != "test"]
    if not any(row["split"] == "train" for row in rows):
        raise PipelineError(
            "This snapshot has no prompts to train on. Add prompts and freeze again."
        )
    of_prompt = {row["prompt_id"]: row for row in rows}

    def tell(done: int, total: int) -> None:
        reporter.count(done, total, "token")

    kept = answers(job, config.sampling(), rows, reporter, tell)
    ended = [row for row in kept if row["sampling"]["ended"] and row["text"]]
    if not ended:
        raise PipelineError(
            "None of the completions ended in time, so there is nothing to learn from. Raise "
            f"max_new_tokens (it was {config.max_new_tokens})."
        )
    demonstrations = [
        {
            **of_prompt[row["prompt_id"]],
            "completion": [{"role": "assistant", "content": row["text"]}],
            "sampling": row["sampling"],
        }
        for row in ended
    ]

    def write(aside: Path) -> None:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in demonstrations)
        (aside / "rows.jsonl").write_text(lines, encoding="utf-8")

    results = {
        **gain(kept),
        "best_of": config.best_of,
        "score_prompts": len(kept),
        "left_out_unended": len(kept) - len(ended),
    }
    publish(folder, write, {"results": results})
