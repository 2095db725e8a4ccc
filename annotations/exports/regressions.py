"""Prompts whose answers were faulty once, and how to tell whether the fault is back."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from annotations.models import Message, RegressionCase, Review, Rewrite, Ticket, counted


@dataclass(frozen=True)
class RewriteOfTicket:
    """The better version of a reported answer, as a reviewer left it."""

    annotation_id: int
    """Of the rewrite, or of the review that fixed it: what its rows in snapshots come from."""
    text: str
    is_rejected: bool

    @property
    def accepted(self) -> str | None:
        """Return the text unless a reviewer rejected it."""
        return None if self.is_rejected else self.text


class RegressionRow(TypedDict):
    """A regression case that binds: what to answer, and how the answers are checked."""

    case_id: int
    version: int
    ticket_id: int
    reason: str
    is_fixed: bool
    """The promoted checkpoint passed it, so that failing means that the fault came back."""
    split: str
    prompt_id: int
    prompt: list[Message]
    prompt_text: str
    kind: str
    parameters: dict[str, Any]
    answers: int
    reported: str
    rewrite: str


def regression_cases(project_id: int) -> Iterator[RegressionRow]:
    """Yield the cases of a project that bind, by ticket: those whose rewrite is there.

    While a reviewer's rejection stands, there is no rewrite; a fault that was fixed stays a case.
    """
    cases = RegressionCase.objects.filter(
        ticket__project=project_id, ticket__state__in=RegressionCase.BINDING
    )
    found = list(cases.select_related("ticket__completion__prompt").order_by("ticket_id"))
    rewrites = _rewrites(project_id, [case.ticket for case in found])
    for case in found:
        ticket, prompt = case.ticket, case.ticket.completion.prompt
        rewrite = rewrites.get(ticket.pk)
        is_fixed = ticket.state == Ticket.State.FIXED
        if rewrite is None or (rewrite.is_rejected and not is_fixed):
            continue
        yield {
            "case_id": case.pk,
            "version": case.version,
            "ticket_id": ticket.pk,
            "reason": ticket.get_reason_display(),
            "is_fixed": is_fixed,
            "split": prompt.split,
            "prompt_id": prompt.pk,
            "prompt": prompt.messages,
            "prompt_text": prompt.text,
            "kind": case.kind,
            "parameters": case.parameters,
            "answers": case.answers,
            "reported": ticket.completion.text,
            "rewrite": rewrite.text,
        }


def rewrite_of(ticket: Ticket) -> RewriteOfTicket | None:
    """Return the rewrite that is in force of a reported answer, if there is one."""
    return _rewrites(ticket.project_id, [ticket]).get(ticket.pk)


def _rewrites(project_id: int, tickets: Collection[Ticket]) -> dict[int, RewriteOfTicket]:
    """Return the rewrites that are in force of some reported answers, by ticket."""
    items = {ticket.item_id: ticket.pk for ticket in tickets if ticket.item_id is not None}
    if not items:
        return {}
    counts = counted("annotation__", project_id)
    written = Rewrite.objects.filter(counts, annotation__item__in=items)
    written = written.select_related("annotation", "completion").order_by("annotation_id")
    newest = {rewrite.annotation.item_id: rewrite for rewrite in written}
    subjects = [rewrite.annotation_id for rewrite in newest.values()]
    reviews: dict[int, list[Review]] = {}
    about = Review.objects.filter(counts, subject__in=subjects).select_related("completion")
    for review in about.order_by("annotation_id"):
        reviews.setdefault(review.subject_id, []).append(review)
    return {
        items[item]: _reviewed(rewrite, reviews.get(rewrite.annotation_id, []))
        for item, rewrite in newest.items()
    }


def _reviewed(rewrite: Rewrite, reviews: Sequence[Review]) -> RewriteOfTicket:
    """Return a rewrite as its reviews, oldest first, left it."""
    is_rejected = any(review.decision == Review.Decision.REJECT for review in reviews)
    fixes = [review for review in reviews if review.decision == Review.Decision.FIX]
    fix = fixes[-1] if fixes else None
    if fix and fix.completion and not is_rejected:
        return RewriteOfTicket(fix.annotation_id, fix.completion.text, is_rejected=False)
    return RewriteOfTicket(rewrite.annotation_id, rewrite.completion.text, is_rejected)
