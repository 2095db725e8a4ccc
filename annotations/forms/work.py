"""What labellers send from the page of an assignment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from annotations.algorithms.text import MAX_COMPLETION_CHARS, MAX_PROMPT_CHARS
from annotations.forms.fields import VerbatimField
from annotations.forms.ratings import Card, QuestionsForm, ReasonForm
from annotations.models import Assignment, Comparison, Kind
from annotations.selectors.turns import MAX_TURNS


class DemonstrationForm(forms.Form):
    text = VerbatimField(
        field=gettext_noop("The answer"),
        max_chars=MAX_COMPLETION_CHARS,
        error_messages={
            "required": gettext_lazy("The answer is empty. Write one, or skip this prompt.")
        },
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
    Option(
        "left-significantly",
        "1",
        gettext_noop("Much better"),
        gettext_noop("A is much better"),
        "left",
    ),
    Option("left-better", "2", gettext_noop("Better"), gettext_noop("A is better"), "left"),
    Option(
        "left-slightly", "3", gettext_noop("Slightly"), gettext_noop("A is slightly better"), "left"
    ),
    Option(
        "left-negligibly", "4", gettext_noop("Barely"), gettext_noop("A is barely better"), "left"
    ),
    Option("tie", "5", gettext_noop("Tie"), gettext_noop("Tie: neither is better"), "tie"),
    Option(
        "right-negligibly", "6", gettext_noop("Barely"), gettext_noop("B is barely better"), "right"
    ),
    Option(
        "right-slightly",
        "7",
        gettext_noop("Slightly"),
        gettext_noop("B is slightly better"),
        "right",
    ),
    Option("right-better", "8", gettext_noop("Better"), gettext_noop("B is better"), "right"),
    Option(
        "right-significantly",
        "9",
        gettext_noop("Much better"),
        gettext_noop("B is much better"),
        "right",
    ),
)
APART = (Option("both_bad", "0", gettext_noop("Both bad"), gettext_noop("Both are bad"), "apart"),)


class ScaleForm(forms.Form):
    """The scale from A to B, with a tie in its middle and “both bad” apart."""

    choice = forms.ChoiceField(
        choices=[(option.value, option.label) for option in SCALE + APART],
        error_messages={
            "required": gettext_lazy("Choose which is better, a tie, or both bad."),
            "invalid_choice": gettext_lazy(
                "That is not on the scale. Choose one of the ten answers."
            ),
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


class ComparisonForm(ScaleForm, ReasonForm):
    pass


class ConversationForm(ScaleForm):
    """A step of a conversation: a pick or a message, and the turn that it is about."""

    turn = forms.IntegerField(min_value=0, max_value=MAX_TURNS, required=False)
    text = VerbatimField(
        field=gettext_noop("Your message"),
        max_chars=MAX_PROMPT_CHARS,
        error_messages={
            "required": gettext_lazy(
                "Your message is empty. Write what you want to say, or end the conversation."
            )
        },
    )

    def __init__(self, data: QueryDict | None = None, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        # What is not asked for in this step is not sent.
        if data is not None:
            self.fields["text"].required = "text" in data
            self.fields["choice"].required = "text" not in data

    def number(self) -> int | None:
        """Return the turn that was sent, or None."""
        self.is_valid()
        number: int | None = self.cleaned_data.get("turn")
        return number


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
    card: Card
    """What is asked about it before it is ranked, if anything is."""


class RankingForm(QuestionsForm):
    """A place for every shown completion. The same place means a tie."""

    def __init__(self, *args: Any, shown_order: Sequence[int], **kwargs: Any) -> None:
        super().__init__(*args, shown_order=shown_order, **kwargs)
        places = [(n, str(n)) for n in range(1, len(shown_order) + 1)]
        for position in range(1, len(shown_order) + 1):
            self.fields[f"tier-{position}"] = forms.TypedChoiceField(
                choices=places,
                coerce=int,
                error_messages={
                    "required": _("Give this one a place."),
                    "invalid_choice": _("Choose a place from 1 to %(most)s.")
                    % {"most": len(shown_order)},
                },
            )

    def places(self) -> list[Place]:
        return [self._place(position, card) for position, card in enumerate(self.cards(), start=1)]

    def tiers(self) -> list[list[int]]:
        """Return the completion ids in tiers, best first."""
        by_place: defaultdict[int, list[int]] = defaultdict(list)
        for position, completion_id in enumerate(self.shown_order, start=1):
            by_place[self.cleaned_data[f"tier-{position}"]].append(completion_id)
        return [by_place[place] for place in sorted(by_place)]

    def _place(self, position: int, card: Card) -> Place:
        name = f"tier-{position}"
        chosen = str(self[name].value())
        count = len(self.shown_order)
        return Place(
            name=name,
            letter=card.letter,
            text=card.text,
            options=[PlaceOption(n, checked=str(n) == chosen) for n in range(1, count + 1)],
            error=" ".join(str(error) for error in self[name].errors),
            card=card,
        )


class StartForm(forms.Form):
    kind = forms.ChoiceField(choices=[("", "Any"), *Kind.choices], required=False)


class SkipForm(forms.Form):
    reason = forms.ChoiceField(choices=Assignment.SkipReason)
    note = forms.CharField(max_length=500, required=False)
