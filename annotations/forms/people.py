"""What a person sends about themselves."""

from __future__ import annotations

from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from django.http import QueryDict
from django.utils.translation import gettext_lazy, gettext_noop

from annotations.keys import (
    ACTIONS,
    ASSEMBLING,
    COMPARING,
    CONVERSING,
    NAMED_KEYS,
    RANKING,
    RATING,
    REVIEWING,
    Action,
    bindings_for,
    check_bindings,
    key_name,
    label_of,
)
from annotations.models import Kind, User

_BY_TYPED = {name.casefold(): key for key, name in NAMED_KEYS.items()} | {
    key.casefold(): key for key in NAMED_KEYS if key.strip()
}
"""How people write the keys that are not one character: in English, or as browsers do."""

EVERYWHERE = gettext_noop("Everywhere")
GROUPS: dict[frozenset[Kind], str] = {
    COMPARING: gettext_noop("Comparing, and conversing"),
    RANKING: gettext_noop("Ranking"),
    RATING: gettext_noop("Rating"),
    ASSEMBLING: gettext_noop("Assembling"),
    REVIEWING: gettext_noop("Reviewing"),
    CONVERSING: gettext_noop("Conversing"),
}
"""Where keys count that do not count everywhere, or in several kinds of work."""


class KeyField(forms.CharField):
    """The name of one key."""

    def __init__(self, action: Action) -> None:
        widget = forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        )
        super().__init__(
            label=label_of(action), max_length=20, required=False, strip=False, widget=widget
        )

    def prepare_value(self, value: Any) -> Any:
        return key_name(value) if value in NAMED_KEYS else value

    def to_python(self, value: Any) -> str:
        typed = super().to_python(value) or ""
        known = _BY_TYPED | {key_name(key).casefold(): key for key in NAMED_KEYS}
        return known.get(typed.strip().casefold(), typed.strip() or typed[:1])


class KeysForm(forms.Form):
    """A key for every action, and whether choosing sends."""

    sends_on_choice = forms.BooleanField(
        required=False,
        label=gettext_lazy("Choosing in a comparison sends it"),
        help_text=gettext_lazy(
            "One key an item. What was sent by mistake can be undone for a while."
        ),
    )

    def __init__(self, data: QueryDict | None, *, user: User) -> None:
        initial = {"sends_on_choice": user.sends_on_choice, **bindings_for(user)}
        super().__init__(data, initial=initial)
        for action in ACTIONS:
            self.fields[action.name] = KeyField(action)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name, error in check_bindings(self.bindings()).items():
            self.add_error(name, error)
        return cleaned

    def bindings(self) -> dict[str, str]:
        """Return the keys as they were sent; an empty field means the key of the page."""
        sent = {action.name: self.cleaned_data.get(action.name, "") for action in ACTIONS}
        return {name: key for name, key in sent.items() if key}

    def key_names(self) -> dict[str, str]:
        """Return what stands on the keys that are not one character, by their names in browsers."""
        return {key: key_name(key) for key in NAMED_KEYS}

    def groups(self) -> list[tuple[str, list[BoundField]]]:
        """Return the fields by where they count."""
        found: dict[str, list[BoundField]] = {name: [] for name in (EVERYWHERE, *GROUPS.values())}
        for action in ACTIONS:
            found[GROUPS.get(action.kinds, EVERYWHERE)].append(self[action.name])
        return list(found.items())
