"""What may be asked of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from django import forms

from training import artifacts
from training.forms.configs import ConfigForm
from training.forms.plain import MAX_REASON_CHARS, MOST_PROMPTS, PlainForm, choose
from training.models import Checkpoint, Stage

if TYPE_CHECKING:
    from annotations.models import Project


def _base_folders() -> list[tuple[str, str]]:
    return [(str(folder), folder.name) for folder in artifacts.base_folders()]


class BaseForm(PlainForm):
    """A base model for a project to start from."""

    path = forms.ChoiceField(
        choices=_base_folders,
        label="Model folder",
        error_messages={"invalid_choice": "That folder is not there any more. Choose another."},
    )
    name = forms.CharField(
        max_length=100, required=False, label="Name", help_text="Empty: the folder's name."
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if path := cleaned.get("path"):
            cleaned["name"] = cleaned.get("name") or Path(path).name
        return cleaned


class HubForm(PlainForm):
    """A base model of a hub, to be brought here first."""

    repo = forms.CharField(
        max_length=200,
        label="Model of a hub",
        help_text="As owner/name, for example HuggingFaceTB/SmolLM2-360M-Instruct.",
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocapitalize": "none"}),
    )
    revision = forms.CharField(
        max_length=100,
        required=False,
        label="Revision",
        help_text="A branch, tag or commit. Empty: the newest.",
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocapitalize": "none"}),
    )
    name = forms.CharField(
        max_length=100, required=False, label="Name", help_text="Empty: the model's."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("auto_id", "hub_%s")  # it stands beside another form with a name
        super().__init__(*args, **kwargs)


class CompletionsForm(ConfigForm):
    """How many prompts a checkpoint answers, and what becomes of its answers."""

    KINDS = (
        ("ranking", "Rankings of all K"),
        ("comparison", "Comparisons of two"),
        ("rating", "Ratings: the project's questions about each"),
        ("rewrite", "Rewrites: each made better by a person"),
        ("assembly", "Assemblies: the best parts of all K"),
    )
    KINDS_OF_ONE = ("rating", "rewrite")
    SPLITS = (
        ("train,validation", "Train and validation"),
        ("train", "Train only"),
        ("train,validation,test", "All"),
    )
    kind = forms.ChoiceField(
        choices=KINDS,
        label="Labelling work",
        help_text="A ranking teaches most per minute of reading.",
    )
    prompt_count = forms.IntegerField(
        min_value=1,
        max_value=MOST_PROMPTS,
        initial=100,
        label="Prompts",
        help_text="Those with the least work so far come first.",
    )
    splits = forms.ChoiceField(
        choices=SPLITS, label="Splits", help_text="Evaluations need test prompts that stay unseen."
    )

    reward_checkpoint = forms.ModelChoiceField(
        Checkpoint.objects.none(),
        required=False,
        label="Reward model",
        empty_label="None",
        help_text="Chooses the best of several candidates. Only needed where “Best of” is above 1.",
    )

    def __init__(self, *args: Any, project: Project | None = None, **kwargs: Any) -> None:
        super().__init__(Stage.SAMPLE, *args, **kwargs)
        if project is not None:
            rewards = Checkpoint.objects.filter(project_id=project.pk, kind=Checkpoint.Kind.REWARD)
            choose(
                self.fields["reward_checkpoint"],
                rewards,
                "That is no reward model of this project. Choose another.",
            )
        self.fields["completions_per_prompt"] = forms.IntegerField(
            min_value=1,
            max_value=64,
            initial=4,
            label="Completions per prompt (K)",
            help_text="Near-identical ones are dropped. Ratings and rewrites can do with one.",
        )

    def clean(self) -> dict[str, Any]:
        """Refuse one completion where several lie side by side, and a choice without a chooser."""
        values = super().clean()
        if (values.get("best_of") or 1) > 1 and not values.get("reward_checkpoint"):
            self.add_error("reward_checkpoint", "Choose what the best of them is chosen by.")
        count = values.get("completions_per_prompt")
        if count == 1 and values.get("kind") not in self.KINDS_OF_ONE:
            self.add_error(
                "completions_per_prompt",
                "One completion cannot be compared; ask for at least 2.",
            )
        return values

    def work(self) -> list[forms.BoundField]:
        names = ("kind", "completions_per_prompt", "prompt_count", "splits")
        return [self[name] for name in names]

    def main_settings(self) -> list[forms.BoundField]:
        return [*super().main_settings(), self["reward_checkpoint"]]

    def more_settings(self) -> list[forms.BoundField]:
        return [f for f in super().more_settings() if f.name != "completions_per_prompt"]

    def sampling_is_open(self) -> bool:
        """Return whether a hidden setting is in error, so that the form shows it."""
        return any(field.errors for field in [*self.main_settings(), *self.more_settings()])

    def chosen_splits(self) -> list[str]:
        return str(self.cleaned_data["splits"]).split(",")


class EvaluationForm(PlainForm):
    """Which held-out prompts the child and its rival answer."""

    rival = forms.ModelChoiceField(Checkpoint.objects.none(), label="Against")
    split = forms.ChoiceField(
        choices=(("test", "Test (held out)"), ("validation", "Validation")), label="Prompts of"
    )
    limit = forms.IntegerField(
        min_value=1,
        max_value=MOST_PROMPTS,
        required=False,
        label="At most",
        help_text="Prompts; empty takes all. A win rate of 60 % needs about 100 votes to show.",
    )

    def __init__(
        self, checkpoint: Checkpoint, promoted: Checkpoint | None, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        others = Checkpoint.objects.filter(project_id=checkpoint.project_id)
        choose(
            self.fields["rival"],
            others.exclude(id=checkpoint.pk).exclude(kind=Checkpoint.Kind.REWARD),
            "Choose the checkpoint to compare with.",
        )
        # The gate asks for the checkpoint in force; before the first promotion there is none.
        rival = promoted.pk if promoted and promoted != checkpoint else checkpoint.parent_id
        self.fields["rival"].initial = rival


class ExportForm(PlainForm):
    """How a policy is written as a plain model."""

    half_precision = forms.BooleanField(
        required=False,
        label="Half precision",
        help_text="bfloat16: half the size, but small changes of the weights are rounded away.",
    )


class PromotionForm(PlainForm):
    """Why a checkpoint shall sample for the project from now on."""

    reason = forms.CharField(
        max_length=MAX_REASON_CHARS,
        widget=forms.Textarea(attrs={"rows": 3}),
        label="Reason",
        help_text="Kept for good, with the win rate of this moment.",
        error_messages={
            "required": "Say why this checkpoint shall answer the prompts from now on."
        },
    )
    override = forms.BooleanField(
        required=False,
        label="Promote although the gate is closed",
        help_text="Owners only. The reason above is the record of it.",
    )

    def __init__(self, *args: Any, may_override: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not may_override:
            del self.fields["override"]
