"""What labellers write with a text before them: rewrites, assemblies, reviews, own prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from annotations.algorithms import parts as algorithm
from annotations.algorithms.parts import Part, parts_of
from annotations.algorithms.text import MAX_COMPLETION_CHARS, MAX_PROMPT_CHARS, letter_of
from annotations.forms.fields import VerbatimField
from annotations.forms.ratings import ReasonForm
from annotations.models import Prompt, Review

Span = tuple[int, int, int]


class RewriteForm(ReasonForm):
    """A better version of a text; the field begins with the original."""

    text = VerbatimField(
        field=gettext_noop("Your version"),
        max_chars=MAX_COMPLETION_CHARS,
        error_messages={
            "required": gettext_lazy("Your version is empty. Write it, or skip this one.")
        },
    )

    unchanged: str | Promise = gettext_lazy(
        "This is the original, unchanged. Change what makes it better, or skip this one if "
        "nothing does."
    )

    def __init__(self, *args: Any, original: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.original = original
        self.fields["text"].initial = original

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        if text.strip() == self.original.strip():
            raise ValidationError(str(self.unchanged))
        return text


@dataclass(frozen=True)
class PartChoice:
    """One part of a shown completion, and where in the assembly it stands, if it does."""

    name: str
    label: str
    text: str
    separator: str
    order: str
    error: str


@dataclass(frozen=True)
class Source:
    """A shown completion in its parts."""

    letter: str
    text: str
    parts: list[PartChoice]


class AssemblyForm(ReasonForm):
    """Numbers that put parts of the shown completions in order, and the text they become."""

    text = VerbatimField(
        field=gettext_noop("Your text"),
        max_chars=MAX_COMPLETION_CHARS,
        error_messages={
            "required": gettext_lazy(
                "The text is empty. Number the parts that you want, put them together, then polish."
            )
        },
    )

    def __init__(
        self, *args: Any, shown_order: Sequence[int], texts: Sequence[str], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.shown_order, self.texts = shown_order, texts
        self.found: dict[str, tuple[int, Part]] = {
            part_name(position, number): (completion_id, part)
            for position, (completion_id, text) in enumerate(
                zip(shown_order, texts, strict=True), start=1
            )
            for number, part in enumerate(parts_of(text), start=1)
        }
        for name in self.found:
            self.fields[name] = forms.IntegerField(
                min_value=1,
                max_value=len(self.found),
                required=False,
                error_messages={
                    "invalid": _("Type a whole number: 1 comes first."),
                    "min_value": _("Count from 1: 1 comes first."),
                    "max_value": _("There are only %(parts)s parts. Type a smaller number.")
                    % {"parts": len(self.found)},
                },
            )

    def clean(self) -> dict[str, Any]:
        """Refuse parts that the page did not show, and numbers that leave the order open."""
        cleaned = super().clean() or self.cleaned_data
        if any(name.startswith("part-") and name not in self.fields for name in self.data):
            raise ValidationError(_("One of the parts is not on this page. Open the item again."))
        orders = [cleaned[name] for name in self.found if cleaned.get(name)]
        doubled = next((order for order in orders if orders.count(order) > 1), None)
        if doubled:
            raise ValidationError(
                _("Two parts have the number %(doubled)s. Say which comes first.")
                % {"doubled": doubled}
            )
        if not orders and not any(name in self.errors for name in self.found):
            raise ValidationError(
                _("No part is chosen. Number at least one: 1 comes first, then 2, and so on.")
            )
        return cleaned

    def spans(self) -> list[Span]:
        """Return the chosen parts in their order, as the service takes them."""
        return [
            (completion_id, part.start, part.end) for completion_id, part in self._chosen_parts()
        ]

    def put_together(self) -> str:
        """Return the text that the chosen parts give."""
        return algorithm.joined([part for _, part in self._chosen_parts()])

    def sources(self) -> list[Source]:
        return [self._source(position, text) for position, text in enumerate(self.texts, start=1)]

    def _chosen_parts(self) -> list[tuple[int, Part]]:
        orders = {name: self.cleaned_data.get(name) for name in self.found}
        chosen = sorted((order, name) for name, order in orders.items() if order)
        return [self.found[name] for _, name in chosen]

    def _source(self, position: int, text: str) -> Source:
        return Source(
            letter_of(position),
            text,
            [
                self._choice(position, number, part)
                for number, part in enumerate(parts_of(text), start=1)
            ],
        )

    def _choice(self, position: int, number: int, part: Part) -> PartChoice:
        name = part_name(position, number)
        order = self[name].value()
        return PartChoice(
            name=name,
            label=_("Place of part %(number)s of %(letter)s")
            % {"number": number, "letter": letter_of(position)},
            text=part.text,
            separator=part.separator,
            order="" if order is None else str(order),
            error=" ".join(str(error) for error in self[name].errors),
        )


def part_name(position: int, number: int) -> str:
    """Return the field of a part: of the completion shown at a position, counted from 1."""
    return f"part-{position}-{number}"


class ReviewForm(ReasonForm):
    """Accept, fix or reject. The field begins with the text that is reviewed."""

    decision = forms.ChoiceField(
        choices=Review.Decision,
        error_messages={
            "required": gettext_lazy("Choose whether you accept the text, fix it or reject it."),
            "invalid_choice": gettext_lazy(
                "Choose whether you accept the text, fix it or reject it."
            ),
        },
    )
    text = VerbatimField(
        field=gettext_noop("The text as it should be"),
        max_chars=MAX_COMPLETION_CHARS,
        required=False,
    )

    def __init__(self, *args: Any, written: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.written = written
        self.fields["text"].initial = written

    def clean(self) -> dict[str, Any]:
        """Refuse a decision that contradicts what was done to the text: no change is lost."""
        cleaned = super().clean() or self.cleaned_data
        decision, text = cleaned.get("decision"), cleaned.get("text", "")
        changed = text.strip() != self.written.strip()
        if decision == Review.Decision.FIX and not text.strip():
            self.add_error("text", _("The text is empty. Write it as it should be, or reject it."))
        elif decision == Review.Decision.FIX and not changed:
            self.add_error("text", _("You chose to fix the text but did not change it. Change it."))
        elif decision and decision != Review.Decision.FIX and text.strip() and changed:
            self.add_error("text", _("You changed the text. Choose “Fix” to hand in your version."))
        if decision == Review.Decision.REJECT and not (cleaned.get("reason") or "").strip():
            self.add_error("reason", _("Say why you reject it, so that its author can learn."))
        return cleaned

    def decisions(self) -> list[dict[str, object]]:
        """Return the choices as radio buttons, with the keys that press them."""
        words = {
            Review.Decision.ACCEPT: gettext_noop("Good as it is"),
            Review.Decision.FIX: gettext_noop("With your text"),
            Review.Decision.REJECT: gettext_noop("Not for training"),
        }
        chosen = self["decision"].value()
        return [
            {
                "value": decision.value,
                "label": decision.label,
                "note": words[decision],
                "key": str(key),
                "checked": decision.value == chosen,
            }
            for key, decision in enumerate(Review.Decision, start=1)
        ]


class OwnPromptForm(forms.Form):
    """A labeller's own prompt, and what kind of prompt it is."""

    style = forms.ChoiceField(
        choices=Prompt.Style,
        initial=Prompt.Style.PLAIN,
        widget=forms.RadioSelect,
        error_messages={
            "required": gettext_lazy("Choose what kind of prompt this is."),
            "invalid_choice": gettext_lazy("Choose what kind of prompt this is."),
        },
    )
    text = VerbatimField(
        field=gettext_noop("The prompt"),
        max_chars=MAX_PROMPT_CHARS,
        error_messages={
            "required": gettext_lazy("The prompt is empty. Write what a model should answer.")
        },
    )


class StartConversationForm(forms.Form):
    """The first message of a conversation of one's own."""

    text = VerbatimField(
        field=gettext_noop("Your message"),
        max_chars=MAX_PROMPT_CHARS,
        error_messages={
            "required": gettext_lazy("Your message is empty. Write what you want to say.")
        },
    )
