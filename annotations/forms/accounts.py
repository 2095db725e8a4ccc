"""What a person sends about how they sign in."""

from __future__ import annotations

from django import forms


class CodeForm(forms.Form):
    """A code of an app, or one to recover with."""

    code = forms.CharField(
        max_length=40,
        label="Code",
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "inputmode": "text", "autofocus": True}
        ),
    )


class PasswordForm(forms.Form):
    """One's password, before something changes that a found session must not change."""

    password = forms.CharField(
        label="Your password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
