"""What an engineer may enter about a server elsewhere, checked before a service is called."""

from __future__ import annotations

from typing import Any

from django import forms

from training.forms.plain import PlainForm
from training.models import Endpoint
from training.services.endpoints import (
    LONGEST_KEY,
    LONGEST_MODEL,
    LONGEST_URL,
    MOST_SECONDS,
    Server,
)


class EndpointForm(PlainForm):
    """Where a server is and how it is asked. The key goes in and never comes out again."""

    name = forms.CharField(
        max_length=100,
        label="Name",
        help_text="Its completions, comparisons and evaluations bear it.",
    )
    url = forms.CharField(
        max_length=LONGEST_URL,
        label="Address",
        help_text="Up to where /chat/completions follows, for example https://host/v1.",
        widget=forms.TextInput(attrs={"inputmode": "url", "spellcheck": "false"}),
    )
    model = forms.CharField(
        max_length=LONGEST_MODEL,
        label="Model",
        help_text="As the server calls it.",
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocapitalize": "none"}),
    )
    key = forms.CharField(
        max_length=LONGEST_KEY,
        required=False,
        label="API key",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Kept encrypted and never shown again. Empty if the server asks for none.",
    )
    forget_key = forms.BooleanField(required=False, label="Forget the key")
    timeout_s = forms.IntegerField(
        min_value=1,
        max_value=MOST_SECONDS,
        initial=60,
        label="Seconds for an answer",
        help_text="After that it counts as one that does not answer, and is asked again.",
    )

    def __init__(self, endpoint: Endpoint | None, *args: Any, **kwargs: Any) -> None:
        if endpoint is not None:
            values = {name: getattr(endpoint, name) for name in ("url", "model", "timeout_s")}
            kwargs.setdefault("initial", values)
        super().__init__(*args, **kwargs)
        if endpoint is not None:
            del self.fields["name"]  # what it wrote bears it
        if endpoint is None or not endpoint.encrypted_key:
            del self.fields["forget_key"]
        else:
            self.fields["key"].help_text = "One is kept, encrypted. Enter another to replace it."

    def server(self) -> Server:
        """Return what was entered, but for the key."""
        values = self.cleaned_data
        return Server(url=values["url"], model=values["model"], timeout_s=values["timeout_s"])
