"""The keys of the labelling pages, as the person who looks at them has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template

from annotations.keys import ACTIONS, bindings_for, key_name, label_of
from annotations.models import User

register = template.Library()


@register.filter
def key_for(keys: Mapping[str, str] | None, action: str) -> str:
    """Return what stands on the key of an action."""
    default = next((known.key for known in ACTIONS if known.name == action), "")
    return key_name((keys or {}).get(action) or default)


@register.filter
def key_of_place(keys: Mapping[str, str] | None, place: int) -> str:
    """Return what stands on the key that picks the completion shown at a place of a ranking."""
    return key_for(keys, f"pick-{place}")


@register.simple_tag
def own_key(user: User, action: str) -> str:
    """Return the key that does an action for a person, as browsers name it."""
    return bindings_for(user)[action]


@register.inclusion_tag("annotations/_keys.html")
def keys_dialog(user: User) -> dict[str, Any]:
    """Return the dialog that shows all keys; the page's script reads from it what keys do."""
    bindings = bindings_for(user)
    actions = [
        {
            "name": action.name,
            "label": label_of(action),
            "key": bindings[action.name],
            "key_name": key_name(bindings[action.name]),
            "kinds": " ".join(sorted(kind.value for kind in action.kinds)),
        }
        for action in ACTIONS
    ]
    return {"actions": actions}
