"""How far rounds go by themselves, as a person may set it."""

from __future__ import annotations

from typing import Self

from django import forms

from training.forms.plain import PlainForm
from training.models import Automation
from training.services.automation import MOST


class AutomationForm(PlainForm):
    """Whether rounds go on by themselves, when, and with which settings."""

    mode = forms.ChoiceField(
        choices=Automation.Mode.choices,
        label="Rounds go on by themselves",
        help_text="In the name of whoever saves this. What people label stays as it is.",
    )
    new_comparisons = forms.IntegerField(
        min_value=1,
        max_value=MOST,
        label="New judgements",
        help_text="While it is on, a round trains once so many are in, or all of its items.",
    )
    settings_from = forms.ChoiceField(
        choices=Automation.SettingsFrom.choices,
        label="Settings of",
        help_text="A stage that has no such preset takes the defaults.",
    )

    @classmethod
    def of(cls, automation: Automation | None) -> Self:
        """Return the form as the project is set."""
        current = automation or Automation()
        names = ("mode", "new_comparisons", "settings_from")
        return cls(initial={name: getattr(current, name) for name in names})
