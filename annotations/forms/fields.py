"""Fields that more than one page has."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from annotations.algorithms.text import TextError, check_text, unix_newlines
from annotations.services.rules import refusal_of


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
        except TextError as error:
            raise ValidationError(refusal_of(error)) from error
