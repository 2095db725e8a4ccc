"""Rates, and what owners add to a statement or take from it."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotations.models import Kind


class CurrencyField(forms.CharField):
    """Three letters, in either case."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("label", gettext_lazy("Currency"))
        help_text = gettext_lazy("Three letters, such as USD or EUR.")
        super().__init__(max_length=3, help_text=help_text, **kwargs)

    def clean(self, value: Any) -> str:
        currency = str(super().clean(value)).upper()
        if not re.fullmatch(r"[A-Z]{3}", currency):
            raise ValidationError(_("Write the three letters of a currency, such as USD or EUR."))
        return currency


class RateForm(forms.Form):
    kind = forms.ChoiceField(
        choices=[("", "All kinds without a rate of their own"), *Kind.choices],
        required=False,
        label="Kind of work",
    )
    per_item = forms.DecimalField(
        min_value=0,
        max_value=1_000_000,
        decimal_places=6,
        initial=0,
        label="For an item",
    )
    per_hour = forms.DecimalField(
        min_value=0,
        max_value=1_000_000,
        decimal_places=6,
        initial=0,
        label="For an hour at work",
        help_text="Of each item, whichever of the two comes to more is paid.",
    )
    currency = CurrencyField()
    starts_on = forms.DateField(
        required=False,
        label="Holds from",
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="The beginning of that day. Empty: from now on.",
    )

    def starts_at(self) -> datetime | None:
        """Return the beginning of the day from which the rate holds; today is now."""
        day: date | None = self.cleaned_data["starts_on"]
        if day is None or day == timezone.localdate():
            return None
        return timezone.make_aware(datetime(day.year, day.month, day.day))


class AdjustmentForm(forms.Form):
    amount = forms.DecimalField(
        min_value=-1_000_000,
        max_value=1_000_000,
        decimal_places=2,
        label=gettext_lazy("Amount"),
        help_text=gettext_lazy("Below zero takes something away."),
    )
    currency = CurrencyField()
    reason = forms.CharField(
        max_length=300,
        label=gettext_lazy("Reason"),
        help_text=gettext_lazy("The person reads it on their statement."),
    )
    below_zero = forms.BooleanField(
        required=False, label=gettext_lazy("Even if the month is below zero then")
    )
    key = forms.UUIDField(widget=forms.HiddenInput)
