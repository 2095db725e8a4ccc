"""Reported answers, and what became of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from django.db.models import Count, Q, QuerySet

from annotations.algorithms import regressions
from annotations.algorithms.regressions import RULES, Check, CheckError
from annotations.models import (
    Assignment,
    Completion,
    Kind,
    Project,
    RegressionCase,
    Ticket,
    User,
)
from annotations.selectors.blindness import is_to_be_judged_by
from annotations.selectors.queue import shown_completions
from annotations.selectors.turns import standing_of

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

REPORTABLE = frozenset(Kind) - {Kind.DEMONSTRATION, Kind.REVIEW}
"""Kinds of work that show answers of models; what people wrote is reviewed instead."""


class Reported(TypedDict):
    """How often an answer was reported, and whether its reader has still to judge it."""

    report_count: int
    is_blind: bool


def reportable_completions(assignment: Assignment) -> list[Completion]:
    """Return the answers that an annotator sees now and may report, as they see them."""
    kind = assignment.item.kind
    if kind not in REPORTABLE:
        return []
    if kind != Kind.CONVERSATION:
        return shown_completions(assignment)
    standing = standing_of(assignment)
    replies = [standing.turn.first, standing.turn.second] if standing.step == "pick" else []
    return [reply for reply in replies if reply is not None]


def tickets_of(
    project: Project,
    reader: User,
    *,
    state: str = "",
    reason: str = "",
    checkpoint: int | None = None,
) -> QuerySet[WithAnnotations[Ticket, Reported]]:
    """Return the tickets of a project, newest first. The state "unsettled" is three of them."""
    wanted = Q(project=project)
    if state == "unsettled":
        wanted &= Q(state__in=Ticket.UNSETTLED)
    elif state:
        wanted &= Q(state=state)
    if reason:
        wanted &= Q(reason=reason)
    if checkpoint is not None:
        wanted &= Q(~is_to_be_judged_by(reader, "completion"), completion__checkpoint=checkpoint)
    return (
        Ticket.objects.annotate(is_blind=is_to_be_judged_by(reader, "completion"))
        .filter(wanted)
        .select_related("completion__prompt", "completion__checkpoint")
        .annotate(report_count=Count("reports"))
        .order_by("-id")
    )


def tickets_by_state(project: Project) -> dict[str, int]:
    """Return how many tickets of a project are in each state."""
    counts = project.tickets.order_by().values_list("state").annotate(Count("id"))
    return dict(counts)


def is_blind_to(reader: User, ticket: Ticket) -> bool:
    """Return whether somebody has still to judge the reported answer, and may not know whose."""
    reported = Completion.objects.filter(id=ticket.completion_id)
    return reported.filter(is_to_be_judged_by(reader)).exists()


def reported_checkpoints(project: Project, reader: User) -> list[tuple[int, str]]:
    """Return the id and the name of every checkpoint whose answers were reported."""
    known = ~is_to_be_judged_by(reader, "completion")
    reported = project.tickets.filter(known, completion__checkpoint__isnull=False)
    named = reported.values_list("completion__checkpoint_id", "completion__checkpoint__name")
    return list(named.order_by("completion__checkpoint_id").distinct())


def objections_to_check(ticket: Ticket, rewrite: str | None) -> list[str]:
    """Return why a ticket's check does not tell the reported answer from its rewrite."""
    case = RegressionCase.objects.filter(ticket=ticket).first()
    if case is None:
        return []
    completion = ticket.completion
    try:
        return regressions.objections(
            Check(case.kind, case.parameters),
            completion.prompt.text,
            reported=completion.text,
            rewrite=rewrite,
        )
    except CheckError as error:
        return [str(error)]


def check_in_words(case: RegressionCase) -> list[str]:
    """Return what a case's check wants of each answer, a line for each rule."""
    match RegressionCase.Kind(case.kind):
        case RegressionCase.Kind.PATTERN:
            return [f"No answer may match: {case.parameters['pattern']}"]
        case RegressionCase.Kind.REWARD:
            margin = case.parameters.get("margin", 0.0)
            by = f" by more than {margin:g}" if margin else ""
            return [f"The reward model must not prefer the rewrite{by}."]
        case RegressionCase.Kind.RUBRIC:
            return [_rule_in_words(case, rule) for rule in case.parameters["rules"]]


def _rule_in_words(case: RegressionCase, rule: str) -> str:
    stated = case.parameters.get(rule)
    if stated is None:
        return RULES[rule]
    numbers = "-".join(map(str, stated)) if isinstance(stated, list) else f"{stated:,}"
    return f"{RULES[rule]}: {numbers}"
