"""The best of n: of n candidates for each completion the reward model's favourite is kept.

Nakano et al. 2021 (arXiv:2112.09332), Stiennon et al. 2020 (arXiv:2009.01325): as good as a trained
policy for its KL, which is known beforehand, and paid for with n times the sampling.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import PeftModel

from training.pipeline.data import PromptRow
from training.pipeline.evaluate import kl_of_best_of
from training.pipeline.reporting import Reporter
from training.pipeline.scoring import score_each


@torch.no_grad()
def keep_best(
    scorer: PeftModel,
    prompts: dict[int, PromptRow],
    candidates: list[dict[str, Any]],
    best_of: int,
    pad: int,
    reporter: Reporter,
) -> list[dict[str, Any]]:
    """Return the best of each `best_of` candidates, which stand side by side.

    One that never ended is kept only where none did: half a text cannot be judged. Of equal ones
    the first is kept. What was chosen from stands in its `sampling`.
    """
    together = [candidates[n : n + best_of] for n in range(0, len(candidates), best_of)]
    groups = [
        {
            "prompt": prompts[group[0]["prompt_id"]].ids,
            "completions": [row.pop("tokens") for row in group],
        }
        for group in together
    ]

    def tell(done: int, total: int) -> None:
        reporter.count(done * best_of, total * best_of, "candidate")

    found = score_each(scorer, groups, pad, tell)
    kept: list[dict[str, Any]] = []
    for group, scores in zip(together, found, strict=True):
        ended = [n for n, one in enumerate(group) if one["sampling"]["ended"]]
        eligible = ended or range(len(group))
        best = max(eligible, key=lambda n: (scores[n], -n))
        group[best]["sampling"] |= {
            "best_of": best_of,
            "score": scores[best],
            "score_of_candidates": sum(scores[n] for n in eligible) / len(eligible),
            "candidates_ended": len(ended),
            "kl": kl_of_best_of(best_of),
        }
        kept.append(group[best])
    return kept


def gain(kept: list[dict[str, Any]]) -> dict[str, float]:
    """Return the mean score of what was kept, and of what it was chosen from.

    What never ended is counted apart: it cannot be chosen, but may well score high.
    """
    of = [row["sampling"] for row in kept]
    return {
        "score_before": sum(one["score_of_candidates"] for one in of) / len(of),
        "score_after": sum(one["score"] for one in of) / len(of),
        "kl_bound": of[0]["kl"],
        "candidates": sum(one["best_of"] for one in of),
        "candidates_ended": sum(one["candidates_ended"] for one in of),
    }
