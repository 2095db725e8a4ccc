"""Groups, rules for kinds of work, practice and tests."""

from __future__ import annotations

from typing import Any

from django import forms

from annotations.forms.fields import VerbatimField
from annotations.models import Comparison, Group, Kind, Project
from annotations.models.qualification import PASS_PERCENT
from annotations.services.qualification import MAX_WHY_CHARS, MOST_ATTEMPTS, MOST_QUESTIONS

LARGEST = 2**63 - 1


class GroupForm(forms.Form):
    name = forms.CharField(max_length=60)
    members = forms.TypedMultipleChoiceField(
        coerce=int, required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        active = project.memberships.filter(user__is_active=True).select_related("user")
        choices = [(member.pk, str(member.user)) for member in active.order_by("user__username")]
        self.fields["members"].choices = choices  # type: ignore[attr-defined]  # of choices


class RuleForm(forms.Form):
    kind = forms.ChoiceField(choices=Kind, label="Kind of work")
    group: forms.ModelChoiceField[Group] = forms.ModelChoiceField(
        None, required=False, empty_label="Everybody", label="Only for"
    )
    is_tested = forms.BooleanField(required=False, label="Only who passed its test")
    pass_percent = forms.IntegerField(
        min_value=0,
        max_value=100,
        initial=PASS_PERCENT,
        label="Right answers to pass, in percent",
    )
    questions = forms.IntegerField(min_value=1, max_value=MOST_QUESTIONS, initial=10)
    attempts = forms.IntegerField(
        min_value=1, max_value=MOST_ATTEMPTS, initial=3, label="How often it can be tried"
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["group"].queryset = project.groups.all()  # type: ignore[attr-defined]  # of models


class PracticeForm(forms.Form):
    item = forms.IntegerField(min_value=1, max_value=LARGEST, widget=forms.HiddenInput)
    why = VerbatimField(
        field="The explanation",
        max_chars=MAX_WHY_CHARS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        label="Why the known answer is right",
    )


class AnswerForm(forms.Form):
    item = forms.IntegerField(min_value=1, max_value=LARGEST, widget=forms.HiddenInput)
    outcome = forms.ChoiceField(
        choices=Comparison.Outcome,
        error_messages={"required": "Choose which is better, a tie, or both bad."},
        widget=forms.RadioSelect,
    )
