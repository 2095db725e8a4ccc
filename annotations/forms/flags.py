"""What an owner decides about a flag."""

from __future__ import annotations

from django import forms
from django.core.exceptions import ValidationError

from annotations.models import FlagDecision


class FlagForm(forms.Form):
    """Which flag, what becomes of it and why."""

    detector = forms.CharField(max_length=16)
    people = forms.CharField(max_length=60)
    verdict = forms.ChoiceField(
        choices=FlagDecision.Verdict,
        error_messages={"required": "Dismiss the flag, or pause the person."},
    )
    reason = forms.CharField(
        max_length=2000, error_messages={"required": "Say why; the person may ask."}
    )

    def clean_people(self) -> list[int]:
        numbers = self.cleaned_data["people"].split()
        if not all(number.isdecimal() and len(number) < 19 for number in numbers):
            raise ValidationError("There is no such flag any more. Look at the list again.")
        return [int(number) for number in numbers]

    def first_error(self) -> str:
        """Return why it is refused, in one sentence."""
        return str(next(iter(self.errors.values()))[0])
