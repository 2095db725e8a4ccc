"""Which key does what on the labelling pages, and what a person may change about it.

A key is named as the browser names it (`KeyboardEvent.key`): `a`, `?`, `Enter`, `ArrowUp`.
Beside these, Ctrl+Enter always sends, from a text field too, and Escape leaves a field or panel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext, gettext_noop, pgettext

from annotations.models import Kind, User

WRITING = frozenset({Kind.DEMONSTRATION, Kind.REWRITE, Kind.ASSEMBLY})
CONVERSING = frozenset({Kind.CONVERSATION})
JUDGING = frozenset(Kind) - WRITING - CONVERSING
EVERY = frozenset(Kind)
COMPARING = frozenset({Kind.COMPARISON}) | CONVERSING
RANKING = frozenset({Kind.RANKING})
RATING = frozenset({Kind.RATING})
ASSEMBLING = frozenset({Kind.ASSEMBLY})
STEPPING = COMPARING | RANKING
REVIEWING = frozenset({Kind.REVIEW})
REPORTING = EVERY - {Kind.DEMONSTRATION} - REVIEWING


@dataclass(frozen=True)
class Action:
    """Something a key does, on the pages of some kinds of work."""

    name: str
    label: str
    key: str
    kinds: frozenset[Kind]
    about: str = ""
    """What stands in the place that the label leaves open, if it does."""


PLACE = gettext_noop("Place %(about)s next, or pick it up")
POINT = gettext_noop("Answer %(about)s, and on to the next question")


def label_of(action: Action) -> str:
    """Return what a key does, in the language of whoever looks."""
    label = gettext(action.label)
    return label % {"about": action.about} if action.about else label


ACTIONS: tuple[Action, ...] = (
    Action("send", gettext_noop("Send and go on"), "Enter", EVERY),
    Action("skip", gettext_noop("Skip, with a reason"), "s", EVERY),
    Action("undo", gettext_noop("Undo what was just sent or skipped"), "u", EVERY),
    Action("reason", gettext_noop("Write a reason"), "r", JUDGING),
    Action("report", gettext_noop("Report an answer"), "f", REPORTING),
    Action("write", gettext_noop("Go to the text field"), "w", WRITING | REVIEWING | CONVERSING),
    Action("guidelines", gettext_noop("Open or close the guidelines"), "g", EVERY),
    Action("search", gettext_noop("Search in the guidelines"), "/", EVERY),
    Action("help", gettext_noop("Show all keys"), "?", EVERY),
    Action("diff", gettext_noop("Mark what differs"), "d", COMPARING),
    Action("left-significantly", gettext_noop("A is much better"), "1", COMPARING),
    Action("left-better", gettext_noop("A is better"), "2", COMPARING),
    Action("left-slightly", gettext_noop("A is slightly better"), "3", COMPARING),
    Action("left-negligibly", gettext_noop("A is barely better"), "4", COMPARING),
    Action("tie", gettext_noop("Tie: neither is better"), "5", COMPARING),
    Action("right-negligibly", gettext_noop("B is barely better"), "6", COMPARING),
    Action("right-slightly", gettext_noop("B is slightly better"), "7", COMPARING),
    Action("right-better", gettext_noop("B is better"), "8", COMPARING),
    Action("right-significantly", gettext_noop("B is much better"), "9", COMPARING),
    Action("both_bad", gettext_noop("Both are bad"), "0", COMPARING),
    *(
        Action(f"pick-{place}", PLACE, str(place), RANKING, letter)
        for place, letter in enumerate("ABCDEFGHI", start=1)
    ),
    Action("up", gettext_noop("Move it up"), "ArrowUp", RANKING),
    Action("down", gettext_noop("Move it down"), "ArrowDown", RANKING),
    Action("join", gettext_noop("Tie it with the one above"), "t", RANKING),
    Action("split", gettext_noop("Take it out of a tie"), "x", RANKING),
    Action("remove", gettext_noop("Take it off the board"), "Backspace", RANKING),
    Action("previous", gettext_noop("One step to the left or back"), "ArrowLeft", STEPPING),
    Action("next", gettext_noop("One step to the right or on"), "ArrowRight", STEPPING),
    *(Action(f"point-{point}", POINT, str(point), RATING, str(point)) for point in range(1, 10)),
    Action("part-previous", gettext_noop("To the part before"), "ArrowUp", ASSEMBLING),
    Action("part-next", gettext_noop("To the next part"), "ArrowDown", ASSEMBLING),
    Action("part-take", gettext_noop("Take the part, or put it back"), " ", ASSEMBLING),
    Action("accept", gettext_noop("Accept"), "1", REVIEWING),
    Action("fix", gettext_noop("Fix"), "2", REVIEWING),
    Action("reject", gettext_noop("Reject"), "3", REVIEWING),
    Action("end", gettext_noop("End the conversation here"), "End", CONVERSING),
    Action("again", gettext_noop("Ask again, or pick again"), "a", CONVERSING),
)

NAMED_KEYS = {
    "Enter": "Enter",
    "Backspace": "⌫",
    "Delete": "Del",
    "Insert": "Ins",
    "Home": "Home",
    "End": "End",
    "PageUp": "Page up",
    "PageDown": "Page down",
    "ArrowUp": "↑",
    "ArrowDown": "↓",
    "ArrowLeft": "←",
    "ArrowRight": "→",
    " ": "Space",
    **{f"F{number}": f"F{number}" for number in range(2, 11)},
}
"""Keys that are not one character, with what stands on them. Tab and Escape move the focus."""

_BY_NAME = {action.name: action for action in ACTIONS}


def bindings_for(user: User) -> dict[str, str]:
    """Return the key of every action: a person's own where they chose one."""
    own = user.keys
    return {action.name: own.get(action.name) or action.key for action in ACTIONS}


def actions_of(kind: str) -> list[Action]:
    """Return what keys can do on the pages of one kind of work."""
    return [action for action in ACTIONS if kind in action.kinds]


def is_key(key: str) -> bool:
    """Say whether a browser can name a key so, and an action may have it."""
    return key in NAMED_KEYS or (len(key) == 1 and key.isprintable() and not key.isspace())


def key_name(key: str) -> str:
    """Return what stands on a key, on a keyboard of the language of whoever looks.

    >>> key_name("ArrowUp"), key_name("d")
    ('↑', 'd')
    """
    return pgettext("key", NAMED_KEYS[key]) if key in NAMED_KEYS else key


def check_bindings(bindings: Mapping[str, str]) -> dict[str, str]:
    """Return a sentence for each action whose key cannot be, by the action's name.

    Actions that are left out keep their own keys, and count. Two actions may share a key where
    no kind of work has both.
    """
    keys = {action.name: bindings.get(action.name) or action.key for action in ACTIONS}
    errors = {
        name: gettext(
            "“%(key)s” is not a key. Give one character, or choose Enter or an arrow key."
        )
        % {"key": key}
        for name, key in keys.items()
        if not is_key(key)
    }
    for position, action in enumerate(ACTIONS):
        for other in ACTIONS[:position]:
            if keys[action.name] == keys[other.name] and action.kinds & other.kinds:
                errors.setdefault(
                    action.name,
                    gettext("“%(key)s” already does “%(action)s”. Give one of the two another key.")
                    % {"key": key_name(keys[action.name]), "action": label_of(other)},
                )
    unknown = bindings.keys() - _BY_NAME.keys()
    return errors | dict.fromkeys(unknown, gettext("There is no such action. Reset your keys."))


def own_keys(bindings: Mapping[str, str]) -> dict[str, str]:
    """Return what differs from the keys of the page: that is all that is stored."""
    return {
        name: key
        for name, key in bindings.items()
        if name in _BY_NAME and key != _BY_NAME[name].key
    }
