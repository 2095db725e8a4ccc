"""What people see of a model while one of TRL's trainers trains it."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.pipeline.errors import RunStopped
from training.pipeline.processes import any_process
from training.pipeline.reporting import TrainerReporter
from training.pipeline.samples import LOOKS, FixedPrompts, steps_to_look_at


class Looks(TrainerCallback):
    """Writes samples a few times while the model trains, and has the validation loss measured.

    It stands behind the callback that hears that the run is to stop. A run that is stopped while it
    answers keeps the step, and answers when it goes on.
    """

    def __init__(
        self,
        answers: FixedPrompts,
        reporting: TrainerReporter,
        count: int = LOOKS,
        *,
        has_loss: bool = False,
    ) -> None:
        self.answers, self.reporting, self.count = answers, reporting, count
        self.has_loss = has_loss

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        if self.is_due(state) and state.global_step not in self.answers.answers:
            self.answer(more["model"], state)
            self.go_on(state)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        if control.should_training_stop or not self.is_due(state):
            return
        stopped = False
        try:
            self.answer(more["model"], state)
        except RunStopped:
            stopped = True
        if any_process(stopped):
            self.reporting.stopped = True
            control.should_save = control.should_training_stop = True
        elif self.has_loss:
            control.should_evaluate = True
            self.reporting.reporter.phase("measuring the validation loss")
        else:
            self.go_on(state)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if state.global_step < state.max_steps:
            self.go_on(state)

    def is_due(self, state: TrainerState) -> bool:
        """Return whether the model answers at this step."""
        return state.global_step in steps_to_look_at(state.max_steps, self.count)

    def answer(self, model: nn.Module, state: TrainerState) -> None:
        """Let the model answer at this step."""
        model.eval()
        try:
            self.answers.answer(model, state.global_step)
        finally:
            model.train()  # TRL tells by it which metrics it logs

    def go_on(self, state: TrainerState) -> None:
        """Tell that the steps go on."""
        self.reporting.reporter.phase("training")
        self.reporting.reporter.progress(state.global_step, state.max_steps)
