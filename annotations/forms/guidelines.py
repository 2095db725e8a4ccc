"""What owners send who write guidelines."""

from __future__ import annotations

from typing import Any

from django import forms

from annotations.algorithms.clauses import MAX_WHY_CHARS, Case
from annotations.algorithms.text import MAX_COMPLETION_CHARS, MAX_PROMPT_CHARS, same_words
from annotations.forms.fields import VerbatimField

LARGEST = 2**31 - 1
MAX_DRAFT_CHARS = 1_000_000


class GuidelineForm(forms.Form):
    """A text, what is new in it, and what the page knew when it was written."""

    text = VerbatimField(
        field="The text",
        max_chars=MAX_DRAFT_CHARS,
        required=False,
        widget=forms.Textarea(attrs={"class": "mono", "rows": 24, "spellcheck": "true"}),
        label="Text, in Markdown",
    )
    note = forms.CharField(
        max_length=300,
        required=False,
        label="What is new",
        help_text="In a sentence. Labellers read it above what changed, and it stays in the list "
        "of versions.",
    )
    revision = forms.IntegerField(min_value=0, max_value=LARGEST, required=False)
    begun_from = forms.IntegerField(min_value=0, max_value=LARGEST, required=False)

    def entered(self) -> dict[str, Any]:
        """Return what was sent, a number that nobody can have sent in good faith as none."""
        self.is_valid()
        return {name: self.cleaned_data.get(name) for name in self.fields}


def _answer(side: str) -> VerbatimField:
    return VerbatimField(
        field=f"Answer {side}",
        max_chars=MAX_COMPLETION_CHARS,
        label=f"Answer {side}",
        widget=forms.Textarea(attrs={"rows": 4}),
        error_messages={"required": f"Write answer {side} of the case."},
    )


class CaseForm(forms.Form):
    """A case, put into the text at the end of a clause."""

    # It lies in the form of the text, which is sent without a case as a rule.
    use_required_attribute = False

    clause = forms.CharField(max_length=300, required=False)
    prompt = VerbatimField(
        field="The prompt",
        max_chars=MAX_PROMPT_CHARS,
        label="Prompt",
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": "Write the prompt of the case."},
    )
    first = _answer("A")
    second = _answer("B")
    expected = forms.ChoiceField(
        label="A labeller should choose",
        choices=[("left", "A"), ("right", "B"), ("tie", "Tie"), ("both_bad", "Both bad")],
    )
    why = VerbatimField(
        field="The reason",
        max_chars=MAX_WHY_CHARS,
        required=False,
        label="Why",
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    @property
    def is_begun(self) -> bool:
        """Say whether somebody has typed into it."""
        return any(self[name].value() for name in ("prompt", "first", "second", "why"))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        first, second = cleaned.get("first"), cleaned.get("second")
        if first and second and same_words(first) == same_words(second):
            self.add_error("second", "Both answers are the same, so there is nothing to choose.")
        return cleaned

    def case(self) -> Case:
        """Return the case that a valid form describes."""
        names = ("prompt", "first", "second", "expected", "why")
        values = {name: self.cleaned_data[name].strip("\n") for name in names}
        return Case(**values)


class VersionsForm(forms.Form):
    """Which two versions stand beside each other."""

    old = forms.IntegerField(min_value=1, max_value=LARGEST)
    new = forms.IntegerField(min_value=1, max_value=LARGEST)
