"""What an owner decides about a flag."""

from __future__ import annotations

from collections.abc import Sequence

from django import forms
from django.core.exceptions import ValidationError

from annotations.models import FlagDecision
from annotations.services.flags import MAX_REASON_CHARS

NO_VERDICT = "Dismiss the flag, or pause the person."


class FlagForm(forms.Form):
    """Which flag, what becomes of it and why."""

    detector = forms.CharField(max_length=16)
    people = forms.CharField(max_length=60)
    verdict = forms.ChoiceField(
        choices=FlagDecision.Verdict,
        error_messages={"required": NO_VERDICT, "invalid_choice": NO_VERDICT},
    )
    reason = forms.CharField(
        max_length=MAX_REASON_CHARS, error_messages={"required": "Say why; the person may ask."}
    )

    def clean_people(self) -> list[int]:
        numbers = self.cleaned_data["people"].split()
        if not all(number.isdecimal() and len(number) < 19 for number in numbers):
            raise ValidationError("There is no such flag any more. Look at the list again.")
        return [int(number) for number in numbers]

    @property
    def problems(self) -> list[str]:
        """Return why it is refused, in sentences."""
        return [str(error) for of_field in self.errors.values() for error in of_field]

    def is_about(self, detector: str, people: Sequence[int]) -> bool:
        """Say whether this flag is meant, whatever else is wrong with what was sent."""
        sent = sorted(str(self["people"].value() or "").split())
        return self["detector"].value() == detector and sent == sorted(map(str, people))
