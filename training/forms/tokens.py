"""What a person says of a new token, checked before it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy

from annotations.access import SCOPES
from training import access
from training.forms.plain import PlainForm

if TYPE_CHECKING:
    from annotations.models import User


class ApiTokenForm(PlainForm):
    """A new token: what it is for, what it is good for, where, and for how long."""

    name = forms.CharField(
        max_length=100,
        label=gettext_lazy("What is it for?"),
        help_text=gettext_lazy(
            "The program or the person that gets it, so that you know later what to revoke."
        ),
        error_messages={"required": gettext_lazy("Say what the token is for.")},
    )
    scopes = forms.MultipleChoiceField(
        choices=[(scope, gettext_lazy(words)) for scope, words in SCOPES],
        label=gettext_lazy("What may it do?"),
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("Never more than you may yourself, at the moment it is used."),
        error_messages={"required": gettext_lazy("Choose at least one thing that it may do.")},
    )
    projects: forms.ModelMultipleChoiceField[Any] = forms.ModelMultipleChoiceField(
        None,
        label=gettext_lazy("Projects"),
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy(
            "It reaches these and no others. Talking with models takes a project that you own, "
            "engineer or review."
        ),
        error_messages={"required": gettext_lazy("Choose a project at least.")},
    )
    days = forms.TypedChoiceField(
        coerce=int,
        choices=[
            (7, gettext_lazy("7 days")),
            (30, gettext_lazy("30 days")),
            (90, gettext_lazy("90 days")),
            (365, gettext_lazy("a year")),
        ],
        initial=90,
        label=gettext_lazy("Expires after"),
    )

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["projects"]
        assert isinstance(field, forms.ModelMultipleChoiceField)
        field.queryset = access.get_member_projects_for(user)
