"""What a person may send to a chat, checked before a service is called."""

from __future__ import annotations

from typing import Any

from django import forms

from training import selectors
from training.forms.plain import PlainForm
from training.models import Chat, Checkpoint
from training.services.chats import Choice

MOST_NEW_TOKENS = 4096
SETTINGS = ("temperature", "top_p", "max_new_tokens", "seed")
NO_CHECKPOINT = "Choose a policy, a base model or an external endpoint of this project."


class AnsweringField(forms.ModelChoiceField):
    """Who can answer, saying of servers elsewhere that they are."""

    def label_from_instance(self, obj: Checkpoint) -> str:
        return f"{obj} (external)" if obj.is_external else str(obj)


class ChatForm(PlainForm):
    """A message, who shall answer it, and how answers are drawn."""

    text = forms.Field(required=False, widget=forms.Textarea)
    """Checked by the service, which has a sentence for each thing that can be wrong with it."""
    left = AnsweringField(
        Checkpoint.objects.none(),
        label="Checkpoint",
        error_messages={"invalid_choice": NO_CHECKPOINT, "required": NO_CHECKPOINT},
    )
    right = AnsweringField(
        Checkpoint.objects.none(),
        required=False,
        label="Beside it",
        empty_label="Nobody",
        error_messages={"invalid_choice": NO_CHECKPOINT},
    )
    temperature = forms.FloatField(
        min_value=0,
        max_value=5,
        initial=0.7,
        label="Temperature",
        help_text="0 takes the likeliest token each time.",
    )
    top_p = forms.FloatField(
        min_value=0.01,
        max_value=1,
        initial=0.95,
        label="Top p",
        help_text="The likeliest tokens that share so much.",
    )
    max_new_tokens = forms.IntegerField(
        min_value=1,
        max_value=MOST_NEW_TOKENS,
        initial=256,
        label="Tokens at most",
        help_text="A reply ends there at the latest.",
    )
    seed = forms.IntegerField(
        min_value=0,
        max_value=2**31 - 1,
        required=False,
        label="Seed",
        help_text="Empty draws another one each time.",
    )

    def __init__(self, project_id: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("left", "right"):
            field = self.fields[name]
            assert isinstance(field, forms.ModelChoiceField)
            field.queryset = selectors.checkpoints_that_chat(project_id)
        for name in ("temperature", "top_p"):
            self.fields[name].widget.attrs["step"] = "any"

    def choice(self) -> Choice:
        """Return who answers and how."""
        values = {name: self.cleaned_data[name] for name in ("left", "right", *SETTINGS)}
        return Choice(**values)

    def settings(self) -> list[forms.BoundField]:
        return [self[name] for name in SETTINGS]

    def settings_are_open(self) -> bool:
        """Return whether a hidden setting is in error, so that the page shows it."""
        return any(field.errors for field in self.settings())

    def sentence(self) -> str:
        """Return what was refused, each with the name of its field."""
        return " ".join(
            f"{self[name].label}: {' '.join(map(str, errors))}"
            for name, errors in self.errors.items()
        )


def settings_of(chat: Chat) -> dict[str, Any]:
    """Return what the form of a chat's next message begins with: what the last one had."""
    values = {name: getattr(chat, name) for name in SETTINGS}
    return {**values, "left": chat.left_id, "right": chat.right_id}


def settings_to_begin_with(project_id: int, last: Chat | None) -> dict[str, Any]:
    """Return what a new chat begins with: the promoted checkpoint, and sampling as one left it."""
    first = selectors.checkpoint_that_replies(project_id)
    sampling = {name: getattr(last, name) for name in SETTINGS} if last else {}
    return {**sampling, "left": first.pk if first else None}
