"""The form that starts an evaluation suite."""

from __future__ import annotations

from typing import Any

from django import forms

from training import selectors
from training.forms.configs import ConfigForm
from training.forms.plain import MOST_PROMPTS
from training.models import Checkpoint, Stage

PROMPTS = 64


class SuiteForm(ConfigForm):
    """What a checkpoint is measured beside, on which prompts, and by which reward model."""

    rival = forms.ModelChoiceField(
        Checkpoint.objects.none(), label="Beside", error_messages={"required": "Choose one."}
    )
    reward_checkpoint = forms.ModelChoiceField(
        Checkpoint.objects.none(),
        required=False,
        label="Reward model",
        empty_label="none",
        help_text="Scores both, for the reward and the win rate.",
    )
    split = forms.ChoiceField(
        choices=(("test", "Test (held out)"), ("validation", "Validation")), label="Prompts of"
    )
    limit = forms.IntegerField(
        min_value=2,
        max_value=MOST_PROMPTS,
        initial=PROMPTS,
        label="At most",
        help_text="Prompts. Four times as many halve the intervals.",
    )

    def __init__(self, checkpoint: Checkpoint, *args: Any, **kwargs: Any) -> None:
        super().__init__(Stage.SUITE, *args, **kwargs)
        others = Checkpoint.objects.filter(project_id=checkpoint.project_id).order_by("-id")
        rewards = others.filter(kind=Checkpoint.Kind.REWARD)
        self._choose("rival", others.exclude(id=checkpoint.pk).exclude(kind="reward"))
        self._choose("reward_checkpoint", rewards)
        last = selectors.suites_of(checkpoint.project).first()
        self.fields["rival"].initial = checkpoint.parent_id
        self.fields["reward_checkpoint"].initial = rewards.first()
        self.fields["checks"].initial = last.config.get("checks", "") if last else ""

    def choices(self) -> list[forms.BoundField]:
        names = ("rival", "reward_checkpoint", "split", "limit", "checks")
        return [self[name] for name in names]

    def _choose(self, name: str, found: Any) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = found
        field.error_messages["invalid_choice"] = "It is not there any more. Choose another."
