"""What owners send who write guidelines."""

from __future__ import annotations

from typing import Any

from django import forms

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


class VersionsForm(forms.Form):
    """Which two versions stand beside each other."""

    old = forms.IntegerField(min_value=1, max_value=LARGEST)
    new = forms.IntegerField(min_value=1, max_value=LARGEST)
