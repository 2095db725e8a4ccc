"""What people may send, checked before a service is called."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from annotations.algorithms.text import (
    MAX_COMPLETION_CHARS,
    MAX_GUIDELINE_BYTES,
    MAX_REASON_CHARS,
    check_text,
    unix_newlines,
)
from annotations.models import Assignment, Comparison, Kind, Role

MAX_PASTE_CHARS = 1_000_000
MAX_UPLOAD_BYTES = 50 * 1024 * 1024


class VerbatimField(forms.CharField):
    """Text kept as it was typed, but for the line ends that browsers add."""

    def __init__(self, *, field: str, max_chars: int, **kwargs: Any) -> None:
        super().__init__(strip=False, **kwargs)
        self.field_name, self.max_chars = field, max_chars
        # check_text refuses NUL characters with a sentence that says where they are.
        self.validators = []

    def to_python(self, value: Any) -> str:
        return unix_newlines(super().to_python(value) or "")

    def validate(self, value: str) -> None:
        if self.required and not value.strip():
            raise ValidationError(self.error_messages["required"], code="required")
        try:
            check_text(value, field=self.field_name, max_chars=self.max_chars)
        except ValueError as error:
            raise ValidationError(str(error)) from error


class ReasonForm(forms.Form):
    """The optional reason that goes with every judgement."""

    reason = VerbatimField(field="The reason", max_chars=MAX_REASON_CHARS, required=False)


class DemonstrationForm(forms.Form):
    text = VerbatimField(
        field="The answer",
        max_chars=MAX_COMPLETION_CHARS,
        error_messages={"required": "The answer is empty. Write one, or skip this prompt."},
    )


@dataclass(frozen=True)
class Option:
    """One radio button: its value, the key that chooses it and its words."""

    value: str
    key: str
    word: str
    label: str
    side: str
    checked: bool = False


SCALE = (
    Option("left-significantly", "1", "Much better", "A is much better", "left"),
    Option("left-better", "2", "Better", "A is better", "left"),
    Option("left-slightly", "3", "Slightly", "A is slightly better", "left"),
    Option("left-negligibly", "4", "Barely", "A is barely better", "left"),
    Option("tie", "5", "Tie", "Tie: neither is better", "tie"),
    Option("right-negligibly", "6", "Barely", "B is barely better", "right"),
    Option("right-slightly", "7", "Slightly", "B is slightly better", "right"),
    Option("right-better", "8", "Better", "B is better", "right"),
    Option("right-significantly", "9", "Much better", "B is much better", "right"),
)
APART = (Option("both_bad", "0", "Both bad", "Both are bad", "apart"),)


class ComparisonForm(ReasonForm):
    choice = forms.ChoiceField(
        choices=[(option.value, option.label) for option in SCALE + APART],
        error_messages={
            "required": "Choose which is better, a tie, or both bad.",
            "invalid_choice": "That is not on the scale. Choose one of the ten answers.",
        },
    )

    def scale(self) -> list[Option]:
        return self._with_choice(SCALE)

    def apart(self) -> list[Option]:
        return self._with_choice(APART)

    def judgement(self) -> tuple[str, str]:
        """Return the outcome and the strength that were chosen; a tie has no strength."""
        outcome, _, strength = self.cleaned_data["choice"].partition("-")
        return Comparison.Outcome(outcome).value, strength

    def _with_choice(self, options: Sequence[Option]) -> list[Option]:
        chosen = self["choice"].value()
        return [
            Option(o.value, o.key, o.word, o.label, o.side, checked=o.value == chosen)
            for o in options
        ]


@dataclass(frozen=True)
class PlaceOption:
    value: int
    checked: bool


@dataclass(frozen=True)
class Place:
    """A shown completion and the places that it can be given."""

    name: str
    letter: str
    text: str
    options: list[PlaceOption]
    error: str


class RankingForm(ReasonForm):
    """A place for every shown completion. The same place means a tie."""

    def __init__(
        self, *args: Any, shown_order: Sequence[int], texts: Sequence[str], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.shown_order, self.texts = shown_order, texts
        places = [(n, str(n)) for n in range(1, len(shown_order) + 1)]
        for position in range(1, len(shown_order) + 1):
            self.fields[f"tier-{position}"] = forms.TypedChoiceField(
                choices=places,
                coerce=int,
                error_messages={
                    "required": "Give this one a place.",
                    "invalid_choice": f"Choose a place from 1 to {len(shown_order)}.",
                },
            )

    def places(self) -> list[Place]:
        return [self._place(position, text) for position, text in enumerate(self.texts, start=1)]

    def tiers(self) -> list[list[int]]:
        """Return the completion ids in tiers, best first."""
        by_place: defaultdict[int, list[int]] = defaultdict(list)
        for position, completion_id in enumerate(self.shown_order, start=1):
            by_place[self.cleaned_data[f"tier-{position}"]].append(completion_id)
        return [by_place[place] for place in sorted(by_place)]

    def _place(self, position: int, text: str) -> Place:
        name = f"tier-{position}"
        chosen = str(self[name].value())
        count = len(self.shown_order)
        return Place(
            name=name,
            letter=letter(position),
            text=text,
            options=[PlaceOption(n, checked=str(n) == chosen) for n in range(1, count + 1)],
            error=" ".join(str(error) for error in self[name].errors),
        )


def letter(position: int) -> str:
    """Return the name of a shown completion: A for the first.

    >>> letter(1), letter(3)
    ('A', 'C')
    """
    return chr(ord("A") + position - 1)


class StartForm(forms.Form):
    kind = forms.ChoiceField(choices=[("", "Any"), *Kind.choices], required=False)


class SkipForm(forms.Form):
    reason = forms.ChoiceField(choices=Assignment.SkipReason)
    note = forms.CharField(max_length=500, required=False)


class ProjectForm(forms.Form):
    name = forms.CharField(max_length=100, help_text="What people see it called, such as Haiku.")
    description = forms.CharField(
        max_length=300, required=False, help_text="One sentence: what is being taught."
    )


class ProjectSettingsForm(ProjectForm):
    comparison_overlap = forms.IntegerField(
        min_value=1,
        max_value=50,
        label="Labellers per comparison",
        help_text="How many people judge each comparison. Two or more let agreement be measured.",
    )
    lease_minutes = forms.IntegerField(
        min_value=1,
        max_value=24 * 60,
        label="Minutes per item",
        help_text="How long an item is kept for the person who opened it.",
    )


class MemberForm(forms.Form):
    username = forms.CharField(
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
    )
    role = forms.ChoiceField(choices=Role, initial=Role.ANNOTATOR)


class MembershipChangeForm(forms.Form):
    """One act on one member."""

    action = forms.ChoiceField(
        choices=[(name, name) for name in ("role", "pause", "resume", "remove")]
    )
    role = forms.ChoiceField(choices=Role, required=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("action") == "role" and not cleaned.get("role"):
            raise ValidationError("Choose a role.")
        return cleaned


class GuidelineForm(forms.Form):
    text = VerbatimField(
        field="The text",
        max_chars=MAX_GUIDELINE_BYTES,
        widget=forms.Textarea(attrs={"class": "mono", "rows": 24, "spellcheck": "true"}),
        label="Text, in Markdown",
        error_messages={"required": "The guidelines are empty. Write what labellers should do."},
    )


class PastePromptsForm(forms.Form):
    text = VerbatimField(
        field="The paste",
        max_chars=MAX_PASTE_CHARS,
        widget=forms.Textarea(attrs={"rows": 8}),
        label="Prompts, one per line",
        error_messages={"required": "Paste at least one prompt."},
    )
    as_demonstrations = forms.BooleanField(
        required=False, initial=True, label="Ask labellers to write an answer to each"
    )


class UploadForm(forms.Form):
    file = forms.FileField(
        error_messages={
            "required": "Choose a file first.",
            "empty": "This file is empty. Choose one with at least one row.",
        }
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > MAX_UPLOAD_BYTES:
            raise ValidationError(
                "This file is larger than 50 MB. Split it, or import it on the server with a "
                "management command."
            )
        return file

    def format(self) -> str:
        """Return csv or jsonl, by the file's name."""
        name: str = self.cleaned_data["file"].name
        return "csv" if name.lower().endswith(".csv") else "jsonl"


class UploadPromptsForm(UploadForm):
    as_demonstrations = forms.BooleanField(
        required=False, initial=True, label="Ask labellers to write an answer to each"
    )
