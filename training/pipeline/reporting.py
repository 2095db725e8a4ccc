"""What a stage tells while it runs, and how TRL's trainers are made to tell it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.pipeline.checkpoints import seal
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.events import Report
from training.pipeline.loading import pick_dtype
from training.pipeline.processes import any_process

ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class Reporter:
    """Sends the events of the child's protocol."""

    report: Report
    should_stop: ShouldStop

    def phase(self, phase: str) -> None:
        self.report({"event": "phase", "phase": phase})

    def count(self, done: int, total: int, unit: str) -> None:
        """Tell how far a phase between the steps is; raise RunStopped if it is to stop.

        For what leaves nothing behind that would be worth saving: a resumed run does it again.
        """
        if self.should_stop():
            raise RunStopped
        self.report({"event": "count", "done": done, "total": total, "unit": unit})

    def progress(self, step: int, total_steps: int) -> None:
        """Tell which step of the run is done: what its time left is reckoned from."""
        self.report({"event": "progress", "step": step, "total_steps": total_steps})

    def metrics(self, step: int, values: dict[str, float]) -> None:
        self.report({"event": "metrics", "step": step, "values": values})

    def samples(self, samples: Sequence[Mapping[str, Any]]) -> None:
        self.report({"event": "samples", "samples": list(samples)})


def check_finite(
    name: str, value: float, step: int, learning_rate: float, *, learned: bool = True
) -> None:
    """Raise PipelineError when a loss is NaN or infinite, before it can reach a checkpoint.

    Before anything was `learned` no learning rate is to blame.
    """
    if not math.isfinite(value):
        if not learned:
            raise PipelineError(
                f"{name} was {value} in the first step, before anything was learned. Nothing was "
                f"published, and a lower learning rate would not help. {why_no_numbers()}"
            )
        raise PipelineError(
            f"{name} became {value} at step {step}. Nothing was published. Start again with a "
            f"lower learning rate (it was {learning_rate:g}; try {learning_rate / 5:.1g}).",
            change={"learning_rate": float(f"{learning_rate / 5:.1g}")},
        )


def why_no_numbers() -> str:
    """Return what is wrong where weights, which were looked at when they were read, are not."""
    if pick_dtype() == torch.bfloat16:
        return (
            "The weights are numbers, but what is reckoned from them in bfloat16 is not. Have runs "
            "compute in float32 (TRAINING_DTYPE where the workers start), or choose another base "
            "model."
        )
    return (
        "The weights are numbers, but what is reckoned from them is not. Try it with other rows; "
        "where it comes again, choose another base model."
    )


def check_scores(scores: Iterable[float]) -> None:
    """Raise PipelineError where a reward model gave a score that is not a number."""
    if not all(map(math.isfinite, scores)):
        raise PipelineError(
            "The reward model gave a score that is not a number. Nothing was published. Train it "
            "again with a lower learning rate, or choose another."
        )


class TrainerReporter(TrainerCallback):
    """Reports a TRL trainer's steps, stops it when asked, and seals its resume points."""

    def __init__(self, reporter: Reporter, learning_rate: float) -> None:
        self.reporter = reporter
        self.learning_rate = learning_rate
        self.stopped = False
        self.batches_evaluated = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.reporter.phase("training")
        self.reporter.progress(state.global_step, state.max_steps)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.reporter.progress(state.global_step, state.max_steps)
        if any_process(self.reporter.should_stop()) and state.global_step < state.max_steps:
            self.stopped = True
            control.should_save = control.should_training_stop = True

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        self.batches_evaluated += 1
        self.reporter.count(self.batches_evaluated, len(more["eval_dataloader"]), "batch")

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.batches_evaluated = 0

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        values = {k: float(v) for k, v in (logs or {}).items() if isinstance(v, int | float)}
        for name in ("loss", "grad_norm", "eval_loss"):
            if name in values:
                learned = name == "eval_loss" or state.global_step > 1  # others: before the update
                check_finite(
                    name, values[name], state.global_step, self.learning_rate, learned=learned
                )
        skipped = (
            *("epoch", "runtime", "per_second", "total_flos", "num_tokens", "train_loss"),
            *("clip_ratio/", "terminated_length", "rewards/reward/"),  # always 0, or told already
            "logits/",  # means over the vocabulary, which say nothing of the text
        )
        shown = {k: v for k, v in values.items() if not any(word in k for word in skipped)}
        if shown:
            self.reporter.metrics(state.global_step, shown)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        # transformers saves in place: without this manifest a torn save would look like a whole one
        any_process(False)  # every process has written its part
        if state.is_world_process_zero:
            seal(
                Path(str(args.output_dir)) / f"checkpoint-{state.global_step}",
                {"step": state.global_step},
            )
        any_process(False)
