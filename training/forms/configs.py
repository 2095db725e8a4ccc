"""Forms made from the config of a stage: its fields, their labels and their help."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

from django import forms

from training.forms.plain import PlainForm
from training.pipeline.config import CONFIGS, parse_config
from training.pipeline.errors import PipelineError
from training.services import CONTENT_OF

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
        """Return whether a hidden setting is in error or was changed, so that the form shows it."""
        return self.is_bound and any(
            field.errors or field.name in self.changed_data for field in self.more_settings()
        )

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
        options["required"] = field.default != ""
        return forms.CharField(**options, max_length=LONGEST_TEXT)
    if float in kinds:
        number = forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"})
        return forms.FloatField(**options, widget=number)
    return forms.IntegerField(**options)
