"""What may be entered about a webhook."""

from __future__ import annotations

from typing import Any

from django import forms

from training.forms.plain import PlainForm
from training.models import Webhook
from training.services.webhooks import LONGEST_URL


def label(kind: Webhook.Kind) -> str:
    """Return what happens, with the type that a message about it has."""
    return f"{kind.label} ({kind.value})"


class WebhookForm(PlainForm):
    """Where messages go, and what they tell of."""

    url = forms.CharField(
        max_length=LONGEST_URL,
        label="Address",
        help_text="Messages are sent there by POST, for example https://ci.example.org/hooks/label.",
        widget=forms.TextInput(attrs={"inputmode": "url", "spellcheck": "false"}),
    )
    kinds = forms.MultipleChoiceField(
        choices=[(kind.value, label(kind)) for kind in Webhook.Kind],
        widget=forms.CheckboxSelectMultiple,
        label="What it is told of",
        help_text="Messages hold ids, kinds and times, nothing that a person wrote.",
        error_messages={"required": "Choose at least one thing to be told of."},
    )

    def __init__(
        self, webhook: Webhook | None, *args: Any, for_owner: bool = False, **kwargs: Any
    ) -> None:
        if webhook is not None:
            kwargs.setdefault("initial", {"url": webhook.url, "kinds": webhook.kinds})
        super().__init__(*args, **kwargs)
        kinds = self.fields["kinds"]
        assert isinstance(kinds, forms.MultipleChoiceField)
        if not for_owner:
            kinds.choices = [
                (kind.value, label(kind)) for kind in Webhook.Kind if kind not in Webhook.FOR_OWNERS
            ]
