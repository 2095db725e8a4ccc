"""What an owner takes out, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms

from annotations import exports
from training.forms.plain import MAX_REASON_CHARS, PlainForm

if TYPE_CHECKING:
    from annotations.models import Project


def _moment(label: str) -> forms.DateTimeField:
    return forms.DateTimeField(
        required=False,
        label=label,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        error_messages={"invalid": "Give a date and a time, like 2026-03-01T09:00."},
    )


class RecallForm(PlainForm):
    """Whose annotations, under which guidelines, in which batch and when. All given must hold."""

    annotator = forms.TypedChoiceField(coerce=int, required=False, empty_value=None)
    guideline_version = forms.TypedChoiceField(
        coerce=int, required=False, empty_value=None, label="Guidelines"
    )
    batch = forms.ChoiceField(required=False, help_text="What one sampling run or import made.")
    since = _moment("Handed in since")
    until = _moment("Handed in before")

    def __init__(self, project: Project, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        there, self.as_of = exports.recallable(project)
        self._offer("annotator", "Anybody", there.annotators)
        self._offer("guideline_version", "Any", there.versions)
        self._offer("batch", "Any", there.batches)

    def _offer(self, name: str, nothing: str, found: list[tuple[Any, str, int]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", nothing)] + [
            (value, f"{words}, {count:,} annotation{'' if count == 1 else 's'}")
            for value, words, count in found
        ]
        field.error_messages["invalid_choice"] = "There is nothing of this to recall. Choose again."

    def scope(self) -> exports.Recall:
        """Return what was chosen as a recall that is not saved."""
        chosen = self.cleaned_data
        return exports.Recall(
            project=self.project,
            annotator_id=chosen["annotator"],
            guideline_version_id=chosen["guideline_version"],
            batch=chosen["batch"],
            since=chosen["since"],
            until=chosen["until"],
        )

    def clean(self) -> dict[str, Any]:
        """Ask for at least one condition."""
        chosen: dict[str, Any] = super().clean() or {}
        if not self.errors and not any(chosen.values()):
            raise forms.ValidationError(
                "Choose whom or what to recall: a person, guidelines, a batch or a time."
            )
        return chosen


class ReasonForm(PlainForm):
    """Why; it stays in the audit log."""

    reason = forms.CharField(
        max_length=MAX_REASON_CHARS,
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": "Say why; it stays in the project's audit log."},
    )


class ConfirmRecallForm(ReasonForm):
    """Why, and whether the person goes on working."""

    pause = forms.BooleanField(
        required=False,
        label="Pause this person",
        help_text="They are handed nothing more until somebody resumes them (page of members).",
    )
