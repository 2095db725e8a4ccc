"""What somebody decides about an item on which people disagree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django import forms
from django.forms.boundfield import BoundField

from annotations import services
from annotations.algorithms.text import MAX_REASON_CHARS, letter_of
from annotations.forms.fields import VerbatimField
from annotations.forms.ratings import QuestionsForm
from annotations.forms.work import ScaleForm
from annotations.models import Annotation, Item, Kind, User
from annotations.selectors.adjudication import order_for, texts_in


class DecisionForm(forms.Form):
    """Why; without a reason nobody could learn from a decision."""

    reason = VerbatimField(
        field="The reason",
        max_chars=MAX_REASON_CHARS,
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": "Say why; those who disagreed may learn from it."},
    )


class ComparisonDecisionForm(ScaleForm, DecisionForm):
    """Which of two is better."""


class RatingDecisionForm(DecisionForm, QuestionsForm):
    """An answer to every question about each completion."""


class RankingDecisionForm(DecisionForm):
    """A place for each completion. The same place means a tie."""

    def __init__(self, *args: Any, order: Sequence[int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order = order
        places = [("", "–"), *((n, str(n)) for n in range(1, len(order) + 1))]
        for position in range(1, len(order) + 1):
            self.fields[f"tier-{position}"] = forms.TypedChoiceField(
                choices=places,
                coerce=int,
                label=f"Place of {letter_of(position)}",
                error_messages={"required": "Give this one a place."},
            )

    def places(self) -> list[BoundField]:
        """Return the fields of the places, in the order of the completions."""
        return [self[f"tier-{position}"] for position in range(1, len(self.order) + 1)]

    def tiers(self) -> list[list[int]]:
        """Return the completion ids in tiers, best first."""
        by_place: defaultdict[int, list[int]] = defaultdict(list)
        for position, completion in enumerate(self.order, start=1):
            by_place[self.cleaned_data[f"tier-{position}"]].append(completion)
        return [by_place[place] for place in sorted(by_place)]


AnyDecisionForm = ComparisonDecisionForm | RankingDecisionForm | RatingDecisionForm


def decision_form(item: Item, user: User, data: Any) -> AnyDecisionForm | None:
    """Return the form of a decision about an item, in the order that a person sees; or None."""
    match item.kind:
        case Kind.COMPARISON:
            return ComparisonDecisionForm(data)
        case Kind.RANKING:
            return RankingDecisionForm(data, order=order_for(item, user))
        case Kind.RATING:
            order = order_for(item, user)
            texts = [text for _, text in texts_in(order)]
            questions = item.rating_scheme.questions if item.rating_scheme else []
            return RatingDecisionForm(data, shown_order=order, texts=texts, questions=questions)
    return None


def decide(item: Item, user: User, form: AnyDecisionForm) -> Annotation:
    """Keep what a form says that was found to be right."""
    reason = form.cleaned_data["reason"]
    if isinstance(form, ComparisonDecisionForm):
        return services.adjudicate_comparison(item, user, *form.judgement(), reason=reason)
    if isinstance(form, RatingDecisionForm):
        return services.adjudicate_rating(item, user, form.answers(), reason=reason)
    return services.adjudicate_ranking(item, user, form.tiers(), reason=reason)
