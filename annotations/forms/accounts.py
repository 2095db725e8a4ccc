"""What a person sends about how they sign in."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.utils.translation import gettext_lazy

NO_MATCH = gettext_lazy(
    "This name and this password do not belong together; capitals count. Try again. If you have "
    "forgotten the password, ask whoever runs this site to set a new one."
)


class SignInForm(AuthenticationForm):
    """A name and a password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.error_messages = {"invalid_login": NO_MATCH, "inactive": NO_MATCH}
        if self.is_bound:  # the name is there; the password has to be typed again in any case
            self.fields["username"].widget.attrs.pop("autofocus", None)
            self.fields["password"].widget.attrs["autofocus"] = True


class CodeForm(forms.Form):
    """A code of an app, or one to recover with."""

    code = forms.CharField(
        max_length=40,
        label=gettext_lazy("Code"),
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "inputmode": "text", "autofocus": True}
        ),
    )


class PasswordForm(forms.Form):
    """One's password, before something changes that a found session must not change."""

    password = forms.CharField(
        label=gettext_lazy("Your password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, *, is_tried_again: bool = False) -> None:
        super().__init__()
        self.fields["password"].widget.attrs["autofocus"] = is_tried_again
