"""The form of an assignment, by its kind of work."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from django.http import QueryDict

from annotations import selectors
from annotations.forms import (
    AssemblyForm,
    ComparisonForm,
    ConversationForm,
    DemonstrationForm,
    RankingForm,
    RatingForm,
    ReviewForm,
    RewriteForm,
)
from annotations.models import Assignment, Kind, Question

WorkForm = (
    DemonstrationForm
    | ComparisonForm
    | RankingForm
    | RatingForm
    | RewriteForm
    | AssemblyForm
    | ReviewForm
    | ConversationForm
)
Initial = MutableMapping[str, Any] | None


def form_for(
    assignment: Assignment, data: QueryDict | None = None, *, initial: Initial = None
) -> WorkForm:
    """Return the form of this kind of work: empty, filled in, or with what was sent."""
    match Kind(assignment.item.kind):
        case Kind.DEMONSTRATION:
            return DemonstrationForm(data, initial=initial)
        case Kind.COMPARISON:
            return ComparisonForm(data, initial=initial)
        case Kind.RANKING:
            return ranking_form(assignment, data, initial=initial)
        case Kind.RATING:
            return rating_form(assignment, data, initial=initial)
        case Kind.REWRITE:
            return rewrite_form(assignment, data, initial=initial)
        case Kind.ASSEMBLY:
            return assembly_form(assignment, data, initial=initial)
        case Kind.REVIEW:
            return review_form(assignment, data, initial=initial)
        case Kind.CONVERSATION:
            return ConversationForm(data, initial=initial)


def ranking_form(
    assignment: Assignment, data: QueryDict | None = None, *, initial: Initial = None
) -> RankingForm:
    return RankingForm(
        data,
        initial=initial,
        shown_order=assignment.shown_order,
        texts=shown_texts(assignment),
        questions=_questions(assignment),
    )


def rating_form(
    assignment: Assignment, data: QueryDict | None = None, *, initial: Initial = None
) -> RatingForm:
    return RatingForm(
        data,
        initial=initial,
        shown_order=assignment.shown_order,
        texts=shown_texts(assignment),
        questions=_questions(assignment),
    )


def rewrite_form(
    assignment: Assignment, data: QueryDict | None = None, *, initial: Initial = None
) -> RewriteForm:
    return RewriteForm(data, initial=initial, original=shown_texts(assignment)[0])


def assembly_form(
    assignment: Assignment, data: QueryDict | None = None, *, initial: Initial = None
) -> AssemblyForm:
    return AssemblyForm(
        data,
        initial=initial,
        shown_order=assignment.shown_order,
        texts=shown_texts(assignment),
    )


def review_form(
    assignment: Assignment, data: QueryDict | None = None, *, initial: Initial = None
) -> ReviewForm:
    return ReviewForm(data, initial=initial, written=shown_texts(assignment)[0])


def shown_texts(assignment: Assignment) -> list[str]:
    """Return the texts of the completions, as this annotator sees them."""
    return [completion.text for completion in selectors.shown_completions(assignment)]


def _questions(assignment: Assignment) -> list[Question]:
    scheme = assignment.item.rating_scheme
    return scheme.questions if scheme else []
