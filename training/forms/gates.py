"""What an owner may set about the gate, checked before the service is called."""

from __future__ import annotations

from typing import Any, Self

from django import forms

from training.forms.plain import PlainForm
from training.models import Gate
from training.services.gates import MOST


class GateForm(PlainForm):
    """The thresholds of a project's gate."""

    least_percent = forms.FloatField(
        min_value=50,
        max_value=99,
        label="Win rate above (%)",
        help_text="What the lower end of its 95 % interval must lie above.",
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
    )
    least_votes = forms.IntegerField(
        min_value=0,
        max_value=MOST,
        label="Least votes",
        help_text="Cast by people. Pairs that nobody has to judge do not count.",
    )
    least_voters = forms.IntegerField(
        min_value=1,
        max_value=MOST,
        label="Least people",
        help_text="Who voted. One person's taste promotes nothing with 2 here.",
    )
    largest_kl = forms.FloatField(
        required=False,
        min_value=0.001,
        max_value=MOST - 1,
        label="Largest KL",
        help_text="To the reference, in nats per completion. Empty asks for nothing.",
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
    )

    @classmethod
    def of(cls, gate: Gate) -> Self:
        """Return the form as the project's gate is set."""
        return cls(
            initial={
                "least_percent": f"{gate.least_rate * 100:.6g}",
                "least_votes": gate.least_votes,
                "least_voters": gate.least_voters,
                "largest_kl": gate.largest_kl,
            }
        )

    def thresholds(self) -> dict[str, Any]:
        """Return the checked thresholds as `set_gate` takes them."""
        values = {**self.cleaned_data}
        return {"least_rate": values.pop("least_percent") / 100, **values}
