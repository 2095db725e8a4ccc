"""What people send about answers that misbehave."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.safestring import SafeString

from annotations.algorithms.regressions import LARGEST_NUMBER, MAX_PATTERN_CHARS, NUMBERED, RULES
from annotations.forms.projects import SyllablesField
from annotations.models import Project, RegressionCase, Ticket, TicketReport

REASONS_SETTLED_BY = {
    Ticket.Reason.REPEATS: "no_repetition",
    Ticket.Reason.BROKEN: "not_empty",
}
"""The rule that sees a reported fault, where a rule can."""


STATES = [("unsettled", "Unsettled"), ("", "All"), *Ticket.State.choices]
REASONS = [("", "Every reason"), *Ticket.Reason.choices]


class ReportForm(forms.Form):
    """Which of the shown answers is bad, and what is wrong with it."""

    position = forms.IntegerField(
        min_value=1, max_value=100, error_messages={"required": "Choose which answer you report."}
    )
    reason = forms.ChoiceField(
        choices=Ticket.Reason,
        error_messages={
            "required": "Choose what is wrong with the answer.",
            "invalid_choice": "Choose one of the reasons that are shown.",
        },
    )
    words = forms.CharField(max_length=500, required=False)
    source = forms.ChoiceField(choices=TicketReport.Source, required=False)

    def problem(self) -> str:
        """Return what is wrong with the form itself, in a sentence."""
        return " ".join(str(error) for errors in self.errors.values() for error in errors)


class TicketFilterForm(forms.Form):
    state = forms.ChoiceField(choices=STATES, required=False)
    reason = forms.ChoiceField(choices=REASONS, required=False)
    checkpoint = forms.IntegerField(min_value=1, max_value=2**63 - 1, required=False)


class DismissForm(forms.Form):
    words = forms.CharField(
        max_length=500,
        label="Why nothing is done about it",
        error_messages={
            "required": "Say why nothing is done about it; the next who looks will ask."
        },
    )


class CheckForm(forms.Form):
    """How the answers of later checkpoints to the prompt of a ticket are checked."""

    kind = forms.ChoiceField(choices=RegressionCase.Kind, label="Check", widget=forms.RadioSelect)
    pattern = forms.CharField(
        max_length=MAX_PATTERN_CHARS,
        required=False,
        label="Forbidden pattern",
        help_text=SafeString(
            "A regular expression. Case does not matter; <code>^</code> and <code>$</code> are the "
            "ends of a line."
        ),
    )
    rules = forms.MultipleChoiceField(
        choices=list(RULES.items()),
        required=False,
        label="Rules",
        widget=forms.CheckboxSelectMultiple,
    )
    lines = forms.IntegerField(
        min_value=1, max_value=LARGEST_NUMBER, required=False, label="Lines wanted"
    )
    syllables = SyllablesField(
        required=False, label="Syllables of the lines", help_text="Such as 5-7-5."
    )
    most_characters = forms.IntegerField(
        min_value=1, max_value=LARGEST_NUMBER, required=False, label="Most characters"
    )
    margin = forms.FloatField(
        min_value=0,
        max_value=100,
        required=False,
        label="Margin",
        help_text="By so much the rewrite's score may be higher.",
    )
    answers = forms.IntegerField(
        min_value=1,
        max_value=RegressionCase.MOST_ANSWERS,
        label="Answers",
        help_text="How many are sampled. Each of them must pass.",
    )

    def parameters(self) -> dict[str, Any]:
        """Return what the chosen check needs, as its case stores it."""
        entered = self.cleaned_data
        match entered["kind"]:
            case RegressionCase.Kind.PATTERN:
                return {"pattern": entered["pattern"]}
            case RegressionCase.Kind.REWARD:
                return {"margin": entered["margin"] or 0.0}
        rules = entered["rules"]
        stated = {name: entered[name] for name in (*NUMBERED, "syllables") if name in rules}
        return {"rules": rules, **stated}

    def clean_margin(self) -> float | None:
        margin: float | None = self.cleaned_data["margin"]
        if margin is not None and margin != margin:
            raise ValidationError("The margin is a number from 0 to 100.")
        return margin


def initial_check(ticket: Ticket, case: RegressionCase | None) -> dict[str, Any]:
    """Return what the form of a check opens with: its case, or what the reason suggests."""
    if case is not None:
        return {"kind": case.kind, "answers": case.answers, **case.parameters}
    initial = _stated(ticket.project) | {"answers": 4, "kind": RegressionCase.Kind.RUBRIC}
    rule = REASONS_SETTLED_BY.get(Ticket.Reason(ticket.reason))
    if rule:
        return initial | {"rules": [rule]}
    if ticket.reason == Ticket.Reason.FORM and ticket.project.line_syllables:
        return initial | {"rules": ["syllables"]}
    return initial | {"kind": RegressionCase.Kind.REWARD}


def _stated(project: Project) -> dict[str, Any]:
    """Return what the project says of its texts, for the rules that can be about it."""
    if not project.line_syllables:
        return {}
    return {"syllables": project.line_syllables, "lines": len(project.line_syllables)}
