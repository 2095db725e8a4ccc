"""Groups, rules for kinds of work, practice, tests, and what is decided by hand."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from annotations.forms.fields import VerbatimField
from annotations.forms.ratings import RatingForm
from annotations.forms.work import DemonstrationForm, RankingForm
from annotations.forms.writing import RewriteForm
from annotations.models import Comparison, Group, Kind, Project, Review
from annotations.models.qualification import PASS_PERCENT
from annotations.selectors import Question
from annotations.services.qualification import MAX_WHY_CHARS, MOST_ATTEMPTS, MOST_QUESTIONS

LARGEST = 2**63 - 1
NO_KIND = gettext_lazy("Choose a kind of work from the list.")
NO_DECISION = gettext_lazy("Choose what holds: qualified, not qualified, or as the rules say.")


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


class OutcomeForm(forms.Form):
    """Which of two completions is better; how much is not asked."""

    outcome = forms.ChoiceField(
        choices=[
            (Comparison.Outcome.LEFT, gettext_lazy("A is better")),
            (Comparison.Outcome.RIGHT, gettext_lazy("B is better")),
            (Comparison.Outcome.TIE, gettext_lazy("Tie")),
            (Comparison.Outcome.BOTH_BAD, gettext_lazy("Both bad")),
        ],
        error_messages={"required": gettext_lazy("Choose which is better, a tie, or both bad.")},
        widget=forms.RadioSelect,
    )


class ReviewedForm(forms.Form):
    """What is to become of a text; of a fix the text as it should be is not asked."""

    decision = forms.ChoiceField(
        choices=[
            (Review.Decision.ACCEPT, gettext_lazy("Accept: it is good as it is")),
            (Review.Decision.FIX, gettext_lazy("Fix: it can be learned from once it is mended")),
            (Review.Decision.REJECT, gettext_lazy("Reject: it is not to be learned from")),
        ],
        error_messages={
            "required": gettext_lazy(
                "Choose whether you would accept the text, fix it or reject it."
            )
        },
        widget=forms.RadioSelect,
    )


AnswerForm = OutcomeForm | ReviewedForm | RankingForm | RatingForm | DemonstrationForm | RewriteForm


def answer_form(question: Question, data: QueryDict | None = None) -> AnswerForm:
    """Return the form of a question in practice or a test. An assembly asks for its text alone."""
    shown: dict[str, Any] = {"shown_order": question.order, "texts": question.texts}
    scheme = question.item.rating_scheme
    form: AnswerForm
    match Kind(question.item.kind):
        case Kind.COMPARISON:
            return OutcomeForm(data)
        case Kind.REVIEW:
            return ReviewedForm(data)
        case Kind.RANKING:
            return RankingForm(data, **shown)
        case Kind.RATING:
            return RatingForm(data, **shown, questions=scheme.questions if scheme else [])
        case Kind.REWRITE:
            form = RewriteForm(data, original=question.texts[0])
            form.unchanged = _("This is the original, unchanged. Change what makes it better.")
        case _:
            form = DemonstrationForm(data)
    # Practice and tests have no skip.
    form.fields["text"].error_messages["required"] = _("Your text is empty. Write it.")
    return form


def said_in(form: AnswerForm) -> Any:
    """Return what a valid form says, as the services take it."""
    match form:
        case RankingForm():
            return form.tiers()
        case RatingForm():
            return form.answers()
        case OutcomeForm():
            return form.cleaned_data["outcome"]
        case ReviewedForm():
            return form.cleaned_data["decision"]
        case _:
            return form.cleaned_data["text"]


class VerdictForm(forms.Form):
    """Whether one text of a test passes, and why. It may be left for later as a whole."""

    passes = forms.TypedChoiceField(
        choices=[("yes", "Passes"), ("no", "Fails")],
        coerce=lambda value: value == "yes",
        empty_value=None,
        required=False,
        widget=forms.RadioSelect,
        label="By the guidelines this text",
    )
    reason = VerbatimField(
        field="The reason",
        max_chars=MAX_WHY_CHARS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        label="Why",
        help_text="Its author reads this once all of the test is judged.",
    )
    shown = forms.CharField(required=False, widget=forms.HiddenInput)
    """The digest of the verdict that the page showed, so that no other one is replaced."""

    def clean(self) -> dict[str, Any]:
        """Take both or neither."""
        cleaned = super().clean() or self.cleaned_data
        chosen, reason = cleaned.get("passes"), (cleaned.get("reason") or "").strip()
        if chosen is not None and not reason and not self.has_error("reason"):
            self.add_error("reason", "Say why; its author reads it.")
        if reason and chosen is None and not self.has_error("passes"):
            self.add_error("passes", "Choose whether the text passes.")
        return cleaned


class DecisionForm(forms.Form):
    """What an owner decides by hand about one person."""

    kind = forms.ChoiceField(
        choices=[(kind, gettext_lazy(kind.label)) for kind in Kind],
        label=gettext_lazy("Kind of work"),
        error_messages={"required": NO_KIND, "invalid_choice": NO_KIND},
    )
    decision = forms.ChoiceField(
        choices=[
            ("granted", gettext_lazy("Qualified: may do it, whatever the rules say")),
            ("withdrawn", gettext_lazy("Not qualified: is handed none of it")),
            ("lifted", gettext_lazy("As the rules say: by test, group or for everybody")),
        ],
        label=gettext_lazy("What holds"),
        error_messages={"required": NO_DECISION, "invalid_choice": NO_DECISION},
    )
    reason = VerbatimField(
        field=gettext_noop("The reason"),
        max_chars=MAX_WHY_CHARS,
        widget=forms.Textarea(attrs={"rows": 2}),
        label=gettext_lazy("Why"),
        help_text=gettext_lazy("The person reads it, and it stays in the audit log."),
        error_messages={
            "required": gettext_lazy("Say why: the person reads it, and it stays in the audit log.")
        },
    )
