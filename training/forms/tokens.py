"""What a person says of a new token, checked before it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms

from training import access
from training.forms.plain import PlainForm

if TYPE_CHECKING:
    from annotations.models import User


class ApiTokenForm(PlainForm):
    """A new token: what it is for, which models it reaches, and for how long."""

    name = forms.CharField(
        max_length=100,
        label="What is it for?",
        help_text="The program or the person that gets it, so that you know later what to revoke.",
        error_messages={"required": "Say what the token is for."},
    )
    projects: forms.ModelMultipleChoiceField[Any] = forms.ModelMultipleChoiceField(
        None,
        label="Projects",
        widget=forms.CheckboxSelectMultiple,
        help_text="It reaches the promoted model of each, and every checkpoint of those that you "
        "own or engineer.",
        error_messages={"required": "Choose a project at least."},
    )
    days = forms.TypedChoiceField(
        coerce=int,
        choices=[(7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "a year")],
        initial=90,
        label="Expires after",
    )

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["projects"]
        assert isinstance(field, forms.ModelMultipleChoiceField)
        field.queryset = access.get_served_projects_for(user)
