"""What every page of an assignment sends beside the answer itself."""

from __future__ import annotations

import re
from collections.abc import Mapping

from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import QueryDict

from annotations.models import Annotation, Kind, Membership, Project, User

LARGEST = 2**31 - 1
NUMBER = re.compile(r"-?[0-9]{1,19}")

STATE_NAMES = ("csrfmiddlewaretoken", "draft_revision", "active_ms", "correcting")
BUTTON_NAMES = ("end", "again", "pick_again", "put_together")
OWN_NAMES = frozenset((*STATE_NAMES, *BUTTON_NAMES))


class State:
    """How far a page was: the draft that it knows, the time that it measured, what it corrects.

    A number that nobody can have sent in good faith counts as not sent. It is asked for several
    times in a request, for which a form would be too slow.
    """

    RANGES = {
        "draft_revision": (0, LARGEST),
        "active_ms": (-LARGEST, 2**63 - 1),
        "correcting": (1, 2**63 - 1),
    }

    def __init__(self, data: QueryDict) -> None:
        self._data = data

    def number(self, name: str) -> int | None:
        """Return a number that was sent, or None."""
        sent = self._data.get(name, "").strip()
        if not NUMBER.fullmatch(sent):
            return None
        least, most = self.RANGES[name]
        number = int(sent)
        return number if least <= number <= most else None

    def active(self) -> int:
        """Return the active time in milliseconds; below zero is none."""
        return min(max(0, self.number("active_ms") or 0), LARGEST)


class AcknowledgeForm(forms.Form):
    """Which assignment waits behind new guidelines."""

    assignment = forms.IntegerField(min_value=1, max_value=2**63 - 1, required=False)

    def assignment_id(self) -> int | None:
        return self.cleaned_data["assignment"] if self.is_valid() else None


class AnswersForm(forms.Form):
    """Which answers of a project are to be shown."""

    kind = forms.ChoiceField(choices=[("", "All kinds"), *Kind.choices], required=False)
    annotator = forms.ModelChoiceField(User.objects.none(), required=False, empty_label="Everybody")
    before = forms.IntegerField(min_value=1, max_value=2**63 - 1, required=False)
    """The oldest annotation of the page before."""

    def __init__(self, data: QueryDict, *, project: Project) -> None:
        super().__init__(data)
        people = _people(project, asked_for=data.get("annotator", ""))
        self.fields["annotator"].queryset = people  # type: ignore[attr-defined]  # of a choice of rows
        for field in self.fields.values():
            field.widget.attrs["class"] = "input input--small"
        self.full_clean()  # what makes no sense is as if it were not asked for


def _people(project: Project, *, asked_for: str) -> QuerySet[User]:
    """Return the members of a project, and who is asked for if they left after saying something."""
    found = Q(Exists(Membership.objects.filter(project=project, user=OuterRef("pk"))))
    if NUMBER.fullmatch(asked_for):
        said = Annotation.objects.filter(item__project=project, annotator=OuterRef("pk"))
        found |= Q(Exists(said), id=asked_for)
    return User.objects.filter(found).order_by("username")


class GoldForm(forms.Form):
    """Whose answer is taken for the known one."""

    annotation = forms.IntegerField(min_value=1, max_value=2**63 - 1)


def entered_in(data: QueryDict) -> dict[str, list[str]]:
    """Return the fields of an answer, without what goes with every answer."""
    return {name: values for name, values in data.lists() if name not in OWN_NAMES}


def initial_of(fields: Mapping[str, list[str]]) -> dict[str, str]:
    """Return stored fields as the initial values of their form."""
    return {name: values[-1] for name, values in fields.items() if values}
