"""The questions about each shown completion, as a labeller answers and an owner writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from annotations.algorithms.text import MAX_REASON_CHARS, letter_of
from annotations.forms.fields import VerbatimField
from annotations.models import Question


class ReasonForm(forms.Form):
    """The optional reason that goes with every judgement."""

    reason = VerbatimField(
        field=gettext_noop("The reason"), max_chars=MAX_REASON_CHARS, required=False
    )


@dataclass(frozen=True)
class Point:
    """One point of a scale, as a radio button."""

    value: int
    label: str
    checked: bool


@dataclass(frozen=True)
class AskedQuestion:
    """A question about one completion, with what was answered so far."""

    name: str
    text: str
    label: str
    is_flag: bool
    low: str
    high: str
    required: bool
    points: list[Point]
    checked: bool
    error: str


@dataclass(frozen=True)
class Card:
    """A shown completion and what is asked about it."""

    letter: str
    text: str
    scales: list[AskedQuestion]
    flags: list[AskedQuestion]


class QuestionsForm(ReasonForm):
    """The answers to the questions about every shown completion; none where none are asked."""

    def __init__(
        self,
        *args: Any,
        shown_order: Sequence[int],
        texts: Sequence[str],
        questions: Sequence[Question] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.shown_order, self.texts, self.questions = shown_order, texts, questions
        for position in range(1, len(shown_order) + 1):
            for question in questions:
                self.fields[_name(position, question)] = _answer_field(question)

    def clean(self) -> dict[str, Any]:
        """Refuse answers to what the page did not ask: they would be lost in silence."""
        cleaned = super().clean() or self.cleaned_data
        if any(name.startswith("rating-") and name not in self.fields for name in self.data):
            raise ValidationError(
                _(
                    "There is an answer to a question that this page does not ask. The questions "
                    "may have changed; open the item again."
                )
            )
        return cleaned

    def answers(self) -> dict[int, dict[str, int]]:
        """Return the answers by completion id and question; unanswered scales are left out."""
        return {
            completion_id: {
                question["name"]: int(value)
                for question in self.questions
                if (value := self.cleaned_data[_name(position, question)]) not in (None, "")
            }
            for position, completion_id in enumerate(self.shown_order, start=1)
        }

    def cards(self) -> list[Card]:
        return [self._card(position, text) for position, text in enumerate(self.texts, start=1)]

    def _card(self, position: int, text: str) -> Card:
        asked = [self._asked(position, question) for question in self.questions]
        return Card(
            letter_of(position),
            text,
            scales=[question for question in asked if not question.is_flag],
            flags=[question for question in asked if question.is_flag],
        )

    def _asked(self, position: int, question: Question) -> AskedQuestion:
        field = self[_name(position, question)]
        value = str(field.value() or "")
        return AskedQuestion(
            name=field.name,
            text=question["text"],
            label=_("%(question)s, %(letter)s")
            % {"question": question["text"], "letter": letter_of(position)},
            is_flag=question["form"] == "flag",
            low=question["low"],
            high=question["high"],
            required=question["required"],
            points=_points(question, value),
            checked=value not in ("", "0", "False"),
            error=" ".join(str(error) for error in field.errors),
        )


class RatingForm(QuestionsForm):
    """A rating on its own: the questions are all there is."""


def _name(position: int, question: Question) -> str:
    return f"rating-{position}-{question['name']}"


def _answer_field(question: Question) -> forms.Field:
    if question["form"] == "flag":
        return forms.TypedChoiceField(
            choices=[("0", "No"), ("1", "Yes")],
            coerce=int,
            empty_value="0",
            required=False,
            error_messages={"invalid_choice": _("A flag is either set or not.")},
        )
    points = question["points"]
    return forms.TypedChoiceField(
        choices=[(str(point), str(point)) for point in range(1, points + 1)],
        coerce=int,
        empty_value=None,
        required=question["required"],
        error_messages={
            "required": _("Choose a point from 1 to %(points)s.") % {"points": points},
            "invalid_choice": _("Choose a point from 1 to %(points)s.") % {"points": points},
        },
    )


def _points(question: Question, value: str) -> list[Point]:
    if question["form"] == "flag":
        return []
    count = question["points"]
    ends = {1: question["low"], count: question["high"]}
    return [
        Point(
            point,
            label=f"{point}, {ends[point]}" if ends.get(point) else str(point),
            checked=value == str(point),
        )
        for point in range(1, count + 1)
    ]


class QuestionForm(forms.Form):
    """One question of a scheme, as an owner writes it. The service checks what it means."""

    FORMS = (("scale", "Scale"), ("flag", "Flag"))

    text = forms.CharField(
        max_length=300, required=False, label=gettext_lazy("Question"), widget=forms.TextInput()
    )
    name = forms.CharField(
        max_length=100,
        required=False,
        label=gettext_lazy("Name in data"),
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"}),
    )
    form = forms.ChoiceField(choices=FORMS, label=gettext_lazy("Answer"), initial="scale")
    points = forms.IntegerField(
        required=False,
        initial=7,
        error_messages={"invalid": gettext_lazy("Type a whole number from 2 to 10.")},
    )
    low = forms.CharField(max_length=100, required=False, label=gettext_lazy("Lowest means"))
    high = forms.CharField(max_length=100, required=False, label=gettext_lazy("Highest means"))
    required = forms.BooleanField(required=False, label=gettext_lazy("Must be answered"))

    def is_blank(self) -> bool:
        """Say whether nobody wrote anything into this row."""
        return not any(str(self[name].value() or "").strip() for name in ("text", "name"))


MOST_ROWS = 40


def rows_of(questions: Sequence[Mapping[str, Any]]) -> list[QuestionForm]:
    """Return the rows of the page of questions, filled in."""
    return [
        QuestionForm(initial=_without_flags_points(question), prefix=f"question-{number}")
        for number, question in enumerate(questions)
    ]


def _without_flags_points(question: Mapping[str, Any]) -> dict[str, Any]:
    return {**question, "points": ""} if question.get("form") == "flag" else dict(question)


def rows_sent(data: Mapping[str, Any]) -> list[QuestionForm]:
    """Return the rows that an owner sent, to be checked."""
    return [QuestionForm(data, prefix=prefix) for prefix in _prefixes(data)]


def rows_changed(data: Mapping[str, Any]) -> list[QuestionForm]:
    """Return the rows that an owner sent after the button that they pressed: one more, or less."""
    names = list(QuestionForm.base_fields)
    written = [
        {name: data[f"{prefix}-{name}"] for name in names if f"{prefix}-{name}" in data}
        for prefix in _prefixes(data)
        if prefix != data.get("remove")
    ]
    if "add" in data and len(written) < MOST_ROWS:
        written.append({"form": "scale", "points": "7", "required": "on"})
    return rows_of(written)


def _prefixes(data: Mapping[str, Any]) -> list[str]:
    prefixes = (f"question-{number}" for number in range(MOST_ROWS))
    return [prefix for prefix in prefixes if f"{prefix}-text" in data]
