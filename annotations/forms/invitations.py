"""Inviting, and signing up by an invitation."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import UserCreationForm
from django.utils.translation import gettext_lazy

from annotations.models import Invitation, User
from annotations.services.invitations import MOST_DAYS, MOST_USES


class InvitationForm(forms.Form):
    role = forms.ChoiceField(
        choices=Invitation.InvitedRole, initial=Invitation.InvitedRole.ANNOTATOR
    )
    uses = forms.IntegerField(
        min_value=1, max_value=MOST_USES, initial=1, label=gettext_lazy("For how many")
    )
    days = forms.IntegerField(
        min_value=1, max_value=MOST_DAYS, initial=7, label=gettext_lazy("For days")
    )


class SignUpForm(UserCreationForm):
    """A name to sign in with, one to be called by, and a password."""

    name = forms.CharField(max_length=150, label=gettext_lazy("What others call you"))

    class Meta:
        model = User
        fields = ("username",)

    field_order = ("username", "name", "password1", "password2")

    def account(self) -> dict[str, Any]:
        """Return what an account is made of; nothing is stored by the form itself."""
        return {
            "username": self.cleaned_data["username"],
            "name": self.cleaned_data["name"],
            "password": self.cleaned_data["password1"],
        }
