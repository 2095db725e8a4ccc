"""What engineers may send, checked before a service is called."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from django import forms

from annotations import exports
from training import artifacts, selectors
from training.models import Checkpoint, DatasetSnapshot, Run, Stage
from training.pipeline.config import CONFIGS, parse_config
from training.pipeline.errors import PipelineError
from training.pipeline.presets import find_preset
from training.services import CONTENT_OF, SCORED

if TYPE_CHECKING:
    from annotations.models import Project

MAX_REASON_CHARS = 2_000
MOST_PROMPTS = 5_000
"""Prompts that one request may sample: enough for a round, little enough to look at."""
LONGEST_TEXT = 500
"""Characters of a setting that is a text, such as the names of layers."""
TRAINED_STAGES = tuple(CONTENT_OF)

SNAPSHOT_CONTENT = {stage.value: content for stage, content in CONTENT_OF.items()}
MAIN_FIELDS = {
    "sft": ("epochs", "learning_rate", "batch_size"),
    "reward": ("epochs", "learning_rate", "batch_size", "use_margin"),
    "ppo": ("steps", "batch_size", "learning_rate", "kl_coef", "target_kl", "max_new_tokens"),
    "dpo": ("epochs", "learning_rate", "batch_size", "beta", "sft_coef"),
    "kto": ("epochs", "learning_rate", "batch_size", "beta", "desirable_weight"),
    "grpo": ("steps", "batch_size", "group_size", "learning_rate", "beta", "max_new_tokens"),
    "rloo": ("steps", "batch_size", "group_size", "learning_rate", "beta", "max_new_tokens"),
    "rejection": ("best_of", "epochs", "learning_rate", "batch_size", "max_new_tokens"),
    "sample": ("temperature", "top_p", "max_new_tokens", "best_of"),
    "suite": ("checks",),
}
"""The settings that matter first; the others wait under "More settings"."""


LABELS = {
    "full": "Train every weight",
    "kl_coef": "KL coefficient",
    "lam": "GAE lambda",
    "looks": "Looks while it trains",
    "missing_eos_penalty": "Penalty for no end",
    "ppo_epochs": "PPO epochs",
    "sft_coef": "SFT weight",
    "value_coef": "Value loss weight",
}
"""Of settings whose names are too short to be read."""


class PlainForm(forms.Form):
    """A form whose labels end without a colon."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)


class ConfigForm(PlainForm):
    """A form made from the config dataclass of a stage: one field each, its docstring as help."""

    def __init__(self, stage: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stage = stage
        for field in config_fields(stage):
            self.fields[field.name] = _form_field(stage, field)

    def clean(self) -> dict[str, Any]:
        """Check the settings together, as the run itself will."""
        values = super().clean() or self.cleaned_data
        self._check_config(values)
        return values

    def use_labels(self) -> None:
        """Call settings in what was refused as the page calls them."""
        for errors in self.errors.as_data().values():
            for error in errors:
                error.message = in_labels(str(error.message))

    def config(self) -> dict[str, Any]:
        """Return the checked settings as `start_run` takes them."""
        names = [field.name for field in config_fields(self.stage)]
        values = {name: self.cleaned_data[name] for name in names if name in self.cleaned_data}
        config = parse_config(self.stage, values).to_dict()
        return {name: value for name, value in config.items() if name != "stage"}

    def main_settings(self) -> list[forms.BoundField]:
        names = MAIN_FIELDS[self.stage]
        return [self[name] for name in names]

    def more_settings(self) -> list[forms.BoundField]:
        names = [field.name for field in config_fields(self.stage)]
        return [self[name] for name in names if name not in MAIN_FIELDS[self.stage]]

    def more_is_open(self) -> bool:
        """Return whether a hidden setting is in error, so that the form shows it."""
        return any(field.errors for field in self.more_settings())

    def _check_config(self, values: dict[str, Any]) -> None:
        """Put what the config refuses beside its field, every refusal at once.

        A refused value is left out (its default is fine) and the rest checked again.
        """
        names = [field.name for field in config_fields(self.stage)]
        rest = {name: values[name] for name in names if name in values}
        while True:
            try:
                parse_config(self.stage, rest)
            except PipelineError as error:
                name = next((n for n in names if str(error).startswith(f"{n} ")), None)
                if name not in self.errors:  # else its default does not go with the others either
                    self.add_error(name, str(error))
                if name is None or name not in rest:
                    return
                del rest[name]
            else:
                return


class SnapshotField(forms.ModelChoiceField):
    """A choice of a snapshot, by what a person tells snapshots apart by."""

    def label_from_instance(self, snapshot: DatasetSnapshot) -> str:
        made = snapshot.created_at.strftime("%-d %b %H:%M")
        return f"#{snapshot.pk} · {total_rows(snapshot)} rows · {made} · {snapshot.sha256[:8]}"


class RunForm(ConfigForm):
    """What a new run starts from, learns from and is told."""

    parent = forms.ModelChoiceField(Checkpoint.objects.none(), label="Start from")
    snapshot = SnapshotField(
        DatasetSnapshot.objects.none(), label="Snapshot", empty_label="Choose a snapshot"
    )

    def __init__(self, project: Project, stage: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(stage, *args, **kwargs)
        adapters = Checkpoint.objects.filter(project_id=project.pk)
        _choose(
            self.fields["parent"],
            adapters.exclude(kind__in=(Checkpoint.Kind.REWARD, Checkpoint.Kind.EXTERNAL)),
            "There is no model to start from. Register a base model first.",
        )
        self.fields["parent"].help_text = PARENT_HELP[stage]
        content = SNAPSHOT_CONTENT[stage]
        _choose(
            self.fields["snapshot"],
            DatasetSnapshot.objects.filter(project_id=project.pk, content=content),
            f"Choose a snapshot of {content.value}; freeze one on the snapshots page first.",
        )
        if stage in SCORED:
            self.fields["reward_checkpoint"] = forms.ModelChoiceField(
                Checkpoint.objects.none(),
                label="Reward model",
                empty_label="Choose a reward model",
                help_text="Scores the completions. It must stem from the same base model.",
            )
            _choose(
                self.fields["reward_checkpoint"],
                adapters.filter(kind=Checkpoint.Kind.REWARD),
                f"{Stage(stage).label} needs a reward model. Train one first: new run, reward.",
            )

    def sources(self) -> list[forms.BoundField]:
        names = ("parent", "snapshot", "reward_checkpoint")
        return [self[name] for name in names if name in self.fields]


def run_defaults(
    project: Project,
    stage: str,
    *,
    preset: str = "",
    earlier: Run | None = None,
    mended: bool = False,
) -> dict[str, Any]:
    """Return what a new run's form starts with: the newest there is, an earlier run, a preset.

    `mended` takes what the earlier run's failure asks to be changed.
    """
    without = (Checkpoint.Kind.REWARD, Checkpoint.Kind.EXTERNAL)
    policies = project.checkpoints.exclude(kind__in=without)
    rewards = project.checkpoints.filter(kind=Checkpoint.Kind.REWARD)
    snapshots = project.snapshots.filter(content=SNAPSHOT_CONTENT[stage])
    parent = selectors.promoted_checkpoint(project) or policies.first()
    values: dict[str, Any] = {
        "parent": parent,
        "snapshot": snapshots.first(),
        "reward_checkpoint": parent and _of_same_base(parent, rewards),
    }
    values = {name: value and value.pk for name, value in values.items()}
    if earlier is not None:
        values |= earlier.config | (earlier.remedy if mended else {})
        values |= {
            "parent": earlier.parent_id,
            "snapshot": earlier.snapshot_id,
            "reward_checkpoint": earlier.reward_checkpoint_id,
        }
    found = find_preset(stage, preset)
    return values | (found.values if found else {})


def _of_same_base(parent: Checkpoint, rewards: Iterable[Checkpoint]) -> Checkpoint | None:
    """Return the first of the reward models that stems from what the policy stems from."""
    base = artifacts.base_of(parent)
    return next((one for one in rewards if artifacts.base_of(one) == base), None)


def posted(stage: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return `values` over the defaults of the stage as a browser would send the form."""
    defaults = CONFIGS[stage]().to_dict()
    return {name: v for name, v in (defaults | values).items() if v is not None and v is not False}


PARENT_HELP = {
    "sft": "The base model, or a checkpoint to teach more.",
    "reward": "Its knowledge is kept; a score head is put on top. The policy in force fits best.",
    "ppo": "The policy to improve. It is also the reference that KL is measured against.",
    "dpo": "The policy to improve, best the one that was judged. It is the reference, too.",
    "kto": "The policy to improve, best the one that was judged. It is the reference, too.",
    "grpo": "The policy to improve. It is also the reference that KL is measured against.",
    "rloo": "The policy to improve. It is also the reference that KL is measured against.",
    "rejection": "The policy that answers, and that learns from its best answers.",
}


class FreezeForm(PlainForm):
    """Which annotations to freeze into a snapshot."""

    content = forms.ChoiceField(
        choices=DatasetSnapshot.Content.choices,
        label="Content",
        help_text="Demonstrations feed sft, preferences feed reward and dpo, good and bad "
        "completions feed kto, prompts (with what people wrote for them) feed all stages that "
        "need a reward model.",
    )
    seed = forms.IntegerField(
        min_value=0,
        max_value=2**31 - 1,
        initial=0,
        label="Seed",
        help_text="Same annotations and seed give the same bytes and the same hash.",
    )
    limit = forms.IntegerField(
        min_value=1,
        required=False,
        label="Most rows of each split",
        help_text="Drawn by the seed. Empty: all of them.",
    )
    ties = forms.BooleanField(
        required=False,
        label="Keep ties",
        help_text="Of preferences: as rows of their own, which only a reward model learns from.",
    )

    def __init__(self, project: Project, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if people := exports.annotators(project.pk):
            self.fields["leave_out_annotators"] = forms.MultipleChoiceField(
                choices=[
                    (name, f"{name}, {count:,} annotation{'' if count == 1 else 's'}")
                    for name, count in people
                ],
                required=False,
                label="Leave out the work of",
                help_text="Nobody, unless you choose. Hold Ctrl to choose several.",
                error_messages={
                    "invalid_choice": "%(value)s has annotated nothing in this project."
                },
            )

    def filters(self) -> dict[str, Any]:
        """Return what was chosen; what was not is no filter."""
        names = ("limit", "leave_out_annotators", "ties")
        return {name: value for name in names if (value := self.cleaned_data.get(name))}


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
        help_text="Chooses the best of several candidates. Only needed where best_of is above 1.",
    )

    def __init__(self, *args: Any, project: Project | None = None, **kwargs: Any) -> None:
        super().__init__(Stage.SAMPLE, *args, **kwargs)
        if project is not None:
            rewards = Checkpoint.objects.filter(project_id=project.pk, kind=Checkpoint.Kind.REWARD)
            _choose(
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
        _choose(
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


def config_fields(stage: str) -> list[dataclasses.Field[Any]]:
    """Return the fields of a stage's config that a person may choose, those of the stage first."""
    fields = [field for field in dataclasses.fields(CONFIGS[stage]) if field.init]
    order = [name for config in CONFIGS[stage].__mro__ for name in inspect.get_annotations(config)]
    return sorted(fields, key=lambda field: order.index(field.name))


@functools.cache
def config_help(stage: str) -> dict[str, str]:
    """Return the docstring under each field of a stage's config.

    Python does not keep these strings, so they are read from the source, base classes first.
    """
    found: dict[str, str] = {}
    for config in reversed(CONFIGS[stage].__mro__):
        if dataclasses.is_dataclass(config):
            found.update(_field_docstrings(config))
    return found


def label_of(name: str) -> str:
    """Return a setting's name as the form has it.

    >>> label_of("lora_rank"), label_of("lam"), label_of("min_pairs")
    ('LoRA rank', 'GAE lambda', 'Min pairs')
    """
    label = name.replace("_", " ").replace("kl", "KL").replace("lora", "LoRA")
    return LABELS.get(name, label[0].upper() + label[1:])


def in_labels(text: str) -> str:
    """Return a message of the pipeline with its settings called as the form calls them.

    >>> in_labels("Raise max_length or lower min_pairs.")
    'Raise “Max length” or lower “Min pairs”.'
    >>> in_labels("epochs is 0; fewer epochs than 0.01 are none.")
    '“Epochs” is 0; fewer epochs than 0.01 are none.'
    """
    return _setting_names().sub(lambda found: f"“{label_of(found[0])}”", text)


@functools.cache
def _setting_names() -> re.Pattern[str]:
    """Return what finds settings in a text; a name of one word is one at its beginning alone."""
    names = {field.name for config in CONFIGS.values() for field in dataclasses.fields(config)}
    long = "|".join(sorted(name for name in names if "_" in name))
    return re.compile(rf"\b(?:{long})\b|^(?:{'|'.join(sorted(names))})(?= is| needs| must)")


def total_rows(snapshot: DatasetSnapshot) -> int:
    """Return how many rows the snapshot holds over all splits."""
    rows = snapshot.counts.get("rows", 0)
    return sum(rows.values()) if isinstance(rows, dict) else int(rows)


def _field_docstrings(config: type) -> Iterator[tuple[str, str]]:
    body = ast.parse(textwrap.dedent(inspect.getsource(config))).body[0]
    assert isinstance(body, ast.ClassDef)
    for field, text in zip(body.body, body.body[1:], strict=False):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            yield field.target.id, " ".join(str(text.value.value).split())


def _form_field(stage: str, field: dataclasses.Field[Any]) -> forms.Field:
    hint = get_type_hints(CONFIGS[stage])[field.name]
    kinds = get_args(hint) or (hint,)
    options: dict[str, Any] = {
        "label": label_of(field.name),
        "help_text": in_labels(config_help(stage).get(field.name, "")).replace("`", ""),
        "initial": None if field.default is dataclasses.MISSING else field.default,
        "required": type(None) not in kinds,
    }
    if bool in kinds:
        return forms.BooleanField(**{**options, "required": False})
    if all(isinstance(kind, str) for kind in kinds):  # a Literal of words
        options["required"] = "" not in kinds
        return forms.ChoiceField(**options, choices=[(kind, kind or "none") for kind in kinds])
    if str in kinds:
        return forms.CharField(**options, max_length=LONGEST_TEXT)
    if float in kinds:
        number = forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"})
        return forms.FloatField(**options, widget=number)
    return forms.IntegerField(**options)


def _choose(field: forms.Field, queryset: Any, message: str) -> None:
    assert isinstance(field, forms.ModelChoiceField)
    field.queryset = queryset
    field.error_messages["required"] = message
    field.error_messages["invalid_choice"] = message
