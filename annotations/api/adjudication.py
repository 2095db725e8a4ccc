"""Deciding about items on which people disagree."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from django.http import QueryDict
from pydantic import Field, StringConstraints

from annotations import access, selectors, services
from annotations.algorithms.text import MAX_REASON_CHARS
from annotations.api.handing_in import ComparisonIn, RankingIn, RatingIn, fields_of_answer
from annotations.api.labelling import QuestionOut, Shown
from annotations.api.operations import Answer, Body, Call, Operations
from annotations.api.pages import Page, Paged, page_of
from annotations.api.people import ReasonText
from annotations.api.problems import Problem, expect_valid
from annotations.api.prompts import MessageOut, messages_out
from annotations.forms.adjudication import decide, decision_form
from annotations.models import Adjudication, Item, Kind, Role, Scope
from annotations.selectors import adjudication as selected

operations = Operations("Adjudication")

NOT_YOURS = "This item is not yours to decide: you have a part in it, or nobody decides its kind."

Reason = Annotated[ReasonText, StringConstraints(max_length=MAX_REASON_CHARS)]


class DisagreementOut(Answer):
    """An item on which people disagree."""

    item: int
    kind: Kind
    prompt: str
    votes: int
    split: str = Field(description="How the votes are split, in words.")
    bits: float = Field(description="What a decision is worth: what the votes leave open.")


class DoubtedGold(Answer):
    """A gold item that nearly everybody fails: what is known of it may be wrong."""

    item: int
    prompt: str
    right: int
    answers: int


class Rejected(Answer):
    """How many of all written texts reviewers would reject, from those that they looked at."""

    share: float | None
    low: float | None
    high: float | None
    reviewed: int


class Disagreements(Answer):
    """What waits for a decision by the owner of the token, worth most first."""

    items: list[DisagreementOut]
    as_of: datetime | None = Field(description="Of a large project: when it was looked through.")
    is_known: bool = Field(description="False: a large project was not looked through yet.")
    doubted_gold: list[DoubtedGold]
    rejected: Rejected | None


class SaidAbout(Answer):
    """What one person said, in the letters of the one who decides."""

    words: dict[str, str]
    reason: str
    saw_otherwise: bool = Field(
        description="They saw the completions under other letters, which their reason may name."
    )


class ToDecide(Answer):
    """An item as the one who decides sees it: both sides, and no names."""

    item: int
    kind: Kind
    messages: list[MessageOut]
    completions: list[Shown]
    questions: list[QuestionOut]
    said: list[SaidAbout]


class DecidedComparison(ComparisonIn):
    """Which is better, and why: left is A, right is B."""

    reason: Reason


class DecidedRanking(RankingIn):
    """Letters in tiers, best first, and why."""

    reason: Reason


class DecidedRating(RatingIn):
    """Answers to the questions, and why."""

    reason: Reason


class Decided(Body):
    """A decision, as the kind of the item wants it."""

    answer: Annotated[
        DecidedComparison | DecidedRanking | DecidedRating, Field(discriminator="kind")
    ]


class DecisionOut(Answer):
    """A decision in force."""

    item: int
    annotation: int
    kind: Kind
    by: str
    is_own: bool
    reason: str
    created_at: datetime


@operations.get("projects/<int:project_id>/disagreements")
def list_disagreements(call: Call, project_id: int) -> Disagreements:
    """List the items that the owner of the token may decide about, worth most first.

    Not those that they have a part in. Owners, engineers and reviewers can.
    """
    project = access.get_project_for(call.user, project_id, *access.DECIDING)
    waiting = selected.waiting_for(project, call.user)
    rejected, reviewed = selected.rejected_share(project)
    return Disagreements(
        items=[
            DisagreementOut(
                item=one.item.pk,
                kind=Kind(one.item.kind),
                prompt=one.item.prompt.text,
                votes=one.votes,
                split=one.words,
                bits=one.bits,
            )
            for one in waiting.found
        ],
        as_of=waiting.as_of,
        is_known=waiting.is_known,
        doubted_gold=[
            DoubtedGold(
                item=one.item.pk, prompt=one.item.prompt.text, right=one.right, answers=one.answers
            )
            for one in selectors.doubted_gold(project)
        ],
        rejected=Rejected(
            share=rejected.value, low=rejected.low, high=rejected.high, reviewed=reviewed
        )
        if rejected
        else None,
    )


@operations.get("items/<int:item_id>/decision")
def get_disagreement(call: Call, item_id: int) -> ToDecide:
    """Show what people said about an item, without names, to somebody who had no part in it."""
    item = access.get_item_for(call.user, item_id, *access.DECIDING)
    _expect_theirs(call, item)
    order = selected.order_for(item, call.user)
    scheme = item.rating_scheme if item.kind == Kind.RATING else None
    return ToDecide(
        item=item.pk,
        kind=Kind(item.kind),
        messages=messages_out(item.prompt.messages),
        completions=[Shown(letter=letter, text=text) for letter, text in selected.texts_in(order)],
        questions=[QuestionOut(**question) for question in scheme.questions] if scheme else [],
        said=[
            SaidAbout(words=dict(one.words), reason=one.reason, saw_otherwise=one.saw_otherwise)
            for one in selected.answers_about(item, order)
        ],
    )


@operations.post("items/<int:item_id>/decision", Scope.LABEL, status=201)
def decide_item(call: Call, item_id: int, body: Decided) -> DecisionOut:
    """Decide about an item on which people disagree, in the letters that it was shown with.

    What a decision counts for is a setting of the project.
    """
    item = access.get_item_for(call.user, item_id, *access.DECIDING)
    _expect_theirs(call, item)
    if body.answer.kind != item.kind:
        raise Problem(
            "wrong-body",
            f"This item takes a {item.kind}, not a {body.answer.kind}.",
            errors=[("answer.kind", f"Send a {item.kind}.")],
        )
    data = QueryDict(mutable=True)
    shown = len(selected.order_for(item, call.user))
    for name, value in fields_of_answer(shown, body.answer).items():
        data[name] = value
    form = decision_form(item, call.user, data)
    assert form is not None  # of the kinds that a decision can be sent of
    expect_valid(form)
    reference = decide(item, call.user, form)
    return _decision(call, Adjudication.objects.get(reference=reference))


@operations.delete("items/<int:item_id>/decision", Scope.LABEL)
def withdraw_decision(call: Call, item_id: int) -> None:
    """Take the decision about an item back: one's own, or as an owner anybody's."""
    item = access.get_item_for(call.user, item_id, *access.DECIDING)
    member = access.get_membership_for(call.user, item.project_id)
    services.withdraw_adjudication(item, by=None if member.role == Role.OWNER else call.user)


@operations.get("projects/<int:project_id>/decisions")
def list_decisions(call: Call, project_id: int, query: Paged) -> Page[DecisionOut]:
    """List the decisions in force. Owners, engineers and reviewers can."""
    project = access.get_project_for(call.user, project_id, *access.DECIDING)
    return page_of(selected.decided(project), query, lambda one: _decision(call, one))


def _expect_theirs(call: Call, item: Item) -> None:
    if item.kind not in selected.ADJUDICATED or not selected.may_decide(item, call.user):
        raise Problem("not-possible", NOT_YOURS)


def _decision(call: Call, decision: Adjudication) -> DecisionOut:
    reference = decision.reference
    return DecisionOut(
        item=decision.item_id,
        annotation=reference.pk,
        kind=Kind(reference.kind),
        by=str(reference.annotator),
        is_own=reference.annotator_id == call.user.pk,
        reason=reference.reason,
        created_at=reference.created_at,
    )
