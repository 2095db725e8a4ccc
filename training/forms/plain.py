"""What every form has."""

from __future__ import annotations

from typing import Any

from django import forms

MAX_REASON_CHARS = 2_000
MOST_PROMPTS = 5_000
"""Prompts that one request may sample: enough for a round, little enough to look at."""


class PlainForm(forms.Form):
    """A form whose labels end without a colon."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)


def choose(field: forms.Field, queryset: Any, message: str) -> None:
    """Let a person choose from `queryset`; `message` tells what to do without a choice."""
    assert isinstance(field, forms.ModelChoiceField)
    field.queryset = queryset
    field.error_messages["required"] = message
    field.error_messages["invalid_choice"] = message
