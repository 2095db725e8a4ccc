"""A few completions for people to look at, before, while and after a model is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from training.pipeline.config import TrainConfig
from training.pipeline.data import PromptRow, decode
from training.pipeline.jobs import Job
from training.pipeline.launch import is_first
from training.pipeline.reporting import Reporter
from training.pipeline.rollouts import sample

SHOWN = 4
MAX_NEW_TOKENS = 48
LOOKS = 3
"""How often samples are written while a model trains, of stages without a setting for it."""


def steps_to_look_at(steps: int, looks: int = LOOKS) -> set[int]:
    """Return the steps after which samples are written, between the first and the last.

    >>> sorted(steps_to_look_at(20)), steps_to_look_at(1)
    ([5, 10, 15], set())
    """
    return {round(steps * k / (looks + 1)) for k in range(1, looks + 1)} - {0, steps}


def write_samples(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    shown: list[PromptRow],
    seed: int,
    reporter: Reporter,
) -> list[str]:
    """Return one completion for each of the first few prompts, with a seed of its own."""
    prompts = [row.ids for row in shown[:SHOWN]]
    if not prompts:
        return []
    reporter.phase("writing samples")
    drawn = sample(
        model,
        prompts,
        tokenizer,
        max_new_tokens=MAX_NEW_TOKENS,
        generator=torch.Generator().manual_seed(seed),
        after_token=lambda done: reporter.count(done, MAX_NEW_TOKENS, "token"),
    )
    return [
        decode(tokenizer, tokens[: int(mask.sum())].tolist())
        for tokens, mask in zip(drawn.tokens, drawn.mask, strict=True)
    ]


class FixedPrompts:
    """What a model answers to the same few prompts at several steps of its training.

    The answers are kept in a file of the run's work folder, so that a resumed run shows what was
    answered before it. Of a run's processes the first one answers.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        shown: list[PromptRow],
        seed: int,
        reporter: Reporter,
        path: Path,
    ) -> None:
        self.tokenizer, self.shown, self.seed = tokenizer, shown[:SHOWN], seed
        self.reporter, self.path = reporter, path
        self.answers: dict[int, list[str]] = {}
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))
            self.answers = {int(step): texts for step, texts in found.items()}

    @classmethod
    def of(
        cls,
        job: Job,
        config: TrainConfig,
        tokenizer: PreTrainedTokenizerBase,
        shown: list[PromptRow],
        reporter: Reporter,
    ) -> FixedPrompts:
        """Return what the job's model has answered until now."""
        place = Path(job.work_dir) / "samples.json"
        return cls(tokenizer, shown, config.seed, reporter, place)

    def begin(self, model: nn.Module) -> None:
        """Let the model answer before the first step. A resumed run has done so already, and its
        weights are not there yet."""
        if not self.answers:
            self.answer(model, 0)

    def answer(self, model: nn.Module, step: int) -> None:
        """Let the model answer, and show all answers until now; those after `step` are void."""
        if not is_first():
            return
        texts = write_samples(model, self.tokenizer, self.shown, self.seed, self.reporter)
        self.answers = {at: kept for at, kept in self.answers.items() if at < step} | {step: texts}
        aside = self.path.with_suffix(".tmp")
        aside.write_text(json.dumps(self.answers, ensure_ascii=False), encoding="utf-8")
        aside.rename(self.path)
        if len(self.answers) > 1:
            self.reporter.samples(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the run page's sample table: the first answers, the last, the rest."""
        first, *between, last = self.answers
        return [
            {
                "prompt": row.text,
                "before": self.answers[first][number],
                "after": self.answers[last][number],
                "steps": [self._at(step, number) for step in between],
            }
            for number, row in enumerate(self.shown)
        ]

    def _at(self, step: int, number: int) -> dict[str, str]:
        return {"step": str(step), "text": self.answers[step][number]}
