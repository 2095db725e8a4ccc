"""What people said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from django.db.models import Exists, OuterRef, QuerySet
from pydantic import Field

from annotations import access, selectors
from annotations.api.operations import Answer, Call, Flag, IdInAddress, Operations
from annotations.api.pages import Page, Paged, page_of
from annotations.exports import pseudonym
from annotations.models import (
    Annotation,
    Comparison,
    Kind,
    Rating,
    Retraction,
    Review,
)

operations = Operations("Annotations")


class Written(Answer):
    """A text by a person: a demonstration, or a rewrite of another completion."""

    kind: Literal["demonstration", "rewrite"]
    completion: int
    text: str
    original: int | None = Field(description="Of a rewrite: the completion that it makes better.")


class Compared(Answer):
    """Which of two completions is better, and by how much."""

    kind: Literal["comparison"]
    left: int = Field(description="The completion that was shown as A.")
    right: int = Field(description="The completion that was shown as B.")
    outcome: Comparison.Outcome
    strength: Comparison.Strength | Literal[""]


class Rated(Answer):
    """A point of a scale, or 1 and 0 for a flag."""

    completion: int
    question: str
    value: int


class Ranked(Answer):
    """Completions in tiers, best first; those in one tier are tied."""

    kind: Literal["ranking"]
    tiers: list[list[int]]
    answers: list[Rated] = Field(description="To the questions that were asked first, if any.")


class RatedAll(Answer):
    """Answers to the questions about each completion."""

    kind: Literal["rating"]
    answers: list[Rated]


class Part(Answer):
    """Characters `start` to `end` of a completion."""

    completion: int
    start: int
    end: int


class Assembled(Answer):
    """An answer put together from parts of completions."""

    kind: Literal["assembly"]
    completion: int
    text: str
    parts: list[Part]


class Reviewed(Answer):
    """What somebody else says about a text."""

    kind: Literal["review"]
    subject: int = Field(description="The annotation that it is about.")
    decision: Review.Decision
    completion: int | None = Field(description="Of a fix: the text as it should be.")
    text: str | None


class Picked(Answer):
    """Which of two replies to one message of a conversation is better."""

    prompt: int
    left: int
    right: int
    outcome: Comparison.Outcome
    strength: Comparison.Strength | Literal[""]


class Conversed(Answer):
    """A conversation: the replies that were picked on the way."""

    kind: Literal["conversation"]
    picks: list[Picked]


Said = Annotated[
    Written | Compared | Ranked | RatedAll | Assembled | Reviewed | Conversed,
    Field(discriminator="kind"),
]


class AnnotationOut(Answer):
    """What a person said about an item. It never changes; a correction is another one."""

    id: int
    item: int
    prompt: int
    kind: Kind
    annotator: str = Field(description="A pseudonym, the same in every export.")
    guideline: int | None
    shown_order: list[int] = Field(description="The completions in the order they were shown.")
    said: Said
    reason: str
    supersedes: int | None = Field(description="The annotation that this corrects.")
    in_force: bool = Field(description="Whether it was neither corrected nor taken back.")
    surplus: bool = Field(description="Sent late, beyond the overlap; kept all the same.")
    wall_ms: int | None
    active_ms: int | None
    created_at: datetime


class AnnotationFilters(Paged):
    kind: Kind | None = None
    item: IdInAddress | None = None
    prompt: IdInAddress | None = None
    in_force: Flag | None = None


@operations.get("projects/<int:project_id>/annotations")
def list_annotations(call: Call, project_id: int, query: AnnotationFilters) -> Page[AnnotationOut]:
    """List what was said in a project. Its owners and engineers can.

    Of an item that the owner of the token still owes an answer, nobody's answer is listed.
    """
    found = _whole(access.get_annotations_for(call.user, project_id))
    if query.kind is not None:
        found = found.filter(kind=query.kind)
    if query.item is not None:
        found = found.filter(item_id=query.item)
    if query.prompt is not None:
        found = found.filter(item__prompt_id=query.prompt)
    if query.in_force is not None:
        is_over = Exists(_successors()) | Exists(_retractions())
        found = found.filter(~is_over if query.in_force else is_over)
    return page_of(found, query, _annotation)


@operations.get("annotations/<int:annotation_id>")
def get_annotation(call: Call, annotation_id: int) -> AnnotationOut:
    """Show what somebody said. Owners and engineers of its project can."""
    found = access.get_annotation_for(call.user, annotation_id)
    return _annotation(_whole(Annotation.objects.filter(id=found.pk)).get())


def _successors() -> QuerySet[Annotation]:
    return Annotation.objects.filter(supersedes=OuterRef("pk"))


def _retractions() -> QuerySet[Retraction]:
    return Retraction.objects.filter(annotation=OuterRef("pk"))


def _whole(found: QuerySet[Annotation]) -> QuerySet[Annotation]:
    """Return annotations with what they say, and whether they were corrected or taken back."""
    is_over = Exists(_successors()) | Exists(_retractions())
    return selectors.with_payload(found).select_related("item").annotate(is_over=is_over)


def _annotation(annotation: Annotation) -> AnnotationOut:
    return AnnotationOut(
        id=annotation.pk,
        item=annotation.item_id,
        prompt=annotation.item.prompt_id,
        kind=Kind(annotation.kind),
        annotator=pseudonym(annotation.annotator_id),
        guideline=annotation.guideline_version_id,
        shown_order=annotation.shown_order,
        said=SAID[Kind(annotation.kind)](annotation),
        reason=annotation.reason,
        supersedes=annotation.supersedes_id,
        in_force=not annotation.is_over,  # type: ignore[attr-defined]  # `_whole` adds it
        surplus=annotation.surplus,
        wall_ms=annotation.wall_ms,
        active_ms=annotation.active_ms,
        created_at=annotation.created_at,
    )


def _demonstration(annotation: Annotation) -> Written:
    completion = annotation.demonstration.completion
    return Written(
        kind="demonstration", completion=completion.pk, text=completion.text, original=None
    )


def _rewrite(annotation: Annotation) -> Written:
    completion = annotation.rewrite.completion
    return Written(
        kind="rewrite",
        completion=completion.pk,
        text=completion.text,
        original=annotation.rewrite.original_id,
    )


def _comparison(annotation: Annotation) -> Compared:
    said = annotation.comparison
    return Compared(
        kind="comparison",
        left=said.left_id,
        right=said.right_id,
        outcome=Comparison.Outcome(said.outcome),
        strength=Comparison.Strength(said.strength) if said.strength else "",
    )


def _ranking(annotation: Annotation) -> Ranked:
    tiers: dict[int, list[int]] = {}
    for entry in annotation.ranking.entries.all():
        tiers.setdefault(entry.tier, []).append(entry.completion_id)
    rating = getattr(annotation, "rating", None)
    return Ranked(
        kind="ranking",
        tiers=list(tiers.values()),
        answers=_answers(rating) if rating else [],
    )


def _rating(annotation: Annotation) -> RatedAll:
    return RatedAll(kind="rating", answers=_answers(annotation.rating))


def _answers(rating: Rating) -> list[Rated]:
    return [
        Rated(completion=one.completion_id, question=one.question, value=one.value)
        for one in rating.answers.all()
    ]


def _assembly(annotation: Annotation) -> Assembled:
    assembly = annotation.assembly
    return Assembled(
        kind="assembly",
        completion=assembly.completion_id,
        text=assembly.completion.text,
        parts=[
            Part(completion=one.source_id, start=one.start, end=one.end)
            for one in assembly.parts.all()
        ],
    )


def _review(annotation: Annotation) -> Reviewed:
    review = annotation.review
    return Reviewed(
        kind="review",
        subject=review.subject_id,
        decision=Review.Decision(review.decision),
        completion=review.completion_id,
        text=review.completion.text if review.completion else None,
    )


def _conversation(annotation: Annotation) -> Conversed:
    picks = [
        Picked(
            prompt=one.prompt_id,
            left=one.left_id,
            right=one.right_id,
            outcome=Comparison.Outcome(one.outcome),
            strength=Comparison.Strength(one.strength) if one.strength else "",
        )
        for one in annotation.conversation.choices.all()
    ]
    return Conversed(kind="conversation", picks=picks)


SAID: dict[Kind, Callable[[Annotation], Any]] = {
    Kind.DEMONSTRATION: _demonstration,
    Kind.COMPARISON: _comparison,
    Kind.RANKING: _ranking,
    Kind.RATING: _rating,
    Kind.REWRITE: _rewrite,
    Kind.ASSEMBLY: _assembly,
    Kind.REVIEW: _review,
    Kind.CONVERSATION: _conversation,
}
