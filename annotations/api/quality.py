"""How a project is going, and how far its people agree: what the dashboard and its tables show."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Literal

from django.http import Http404
from pydantic import Field

from annotations import access, selectors
from annotations.algorithms.pay import MICROS
from annotations.algorithms.reliability import Estimate
from annotations.api.operations import Answer, Call, IdInAddress, Operations, Query, Search
from annotations.api.people import owns
from annotations.exports import pseudonym
from annotations.models import Group, Kind, Project
from annotations.selectors import AgreementOverview, Line, Sums

operations = Operations("Quality")

AGAIN_IN_S = 10


class EstimateOut(Answer):
    """A statistic with its 95 % interval, and over how many units it was taken."""

    value: float | None
    low: float | None
    high: float | None
    n: int


class AgreementLine(Answer):
    """How far people agree on one sort of judgement."""

    by: Literal["all", "guideline version", "week", "tag"]
    part: str = Field(description="The version, week or tag; empty for all.")
    kind: str
    question: str
    judged_twice: int = Field(description="What two people or more judged.")
    labels: int
    people: int
    metric: str = Field(description="Of alpha.")
    pairwise: EstimateOut
    fleiss: EstimateOut
    alpha: EstimateOut
    interval_alpha: EstimateOut = Field(description="Of scales, with their points as numbers.")
    tau: EstimateOut = Field(description="Kendall's tau-b, of rankings.")


class PairLine(Answer):
    """Two people who judged the same things."""

    first: str
    second: str
    pairwise: EstimateOut
    kappa: EstimateOut


class ChooserLine(Answer):
    """What somebody's choices say about them, beside everybody else's."""

    person: str
    meaning: str


class DoubtedLine(Answer):
    """An answer that is more likely wrong than right, as others chose."""

    item: int
    person: str
    chance: float


class AgreementOut(Answer):
    """How far people agree. People are names to owners, and pseudonyms to others."""

    is_known: bool = Field(description="False: it is being reckoned. Ask again.")
    made_at: datetime | None
    batches: list[str]
    lines: list[AgreementLine]
    pairs: list[PairLine]
    choosers: list[ChooserLine] = Field(description="The least reliable first.")
    doubted: list[DoubtedLine]
    repeats: EstimateOut = Field(
        description="How often one person said the same when asked the same again."
    )
    decided: EstimateOut = Field(
        description="How often two people who both chose a side chose the same."
    )
    ceiling: EstimateOut = Field(
        description="How often the best of reward models can be right on one such vote."
    )


class AgreementFilters(Query):
    """Which part of the work."""

    batch: Search | None = None
    group: IdInAddress | None = Field(None, description="Of people; to owners alone.")


class SumsOut(Answer):
    """What was done in one part of the work."""

    answers: int
    imported: int
    gold: int
    gold_right: int
    timed: int = Field(description="Answers whose time was measured.")
    active_seconds: float


class SpentOut(Answer):
    """What was spent on a kind of work; null: adjustments."""

    currency: str
    kind: Kind | None
    amount: str


class BinOut(Answer):
    """A day, or the week that begins with it."""

    start: date
    all: SumsOut
    by_kind: dict[str, int]
    spent: list[SpentOut] | None = Field(description="To owners.")


class PersonSums(Answer):
    """What one person did."""

    person: str
    last_day: date | None
    sums: SumsOut


class TagSums(Answer):
    """What was done about the prompts of a tag."""

    tag: str
    sums: SumsOut


class OutlookOut(Answer):
    """What is left of one kind of work, and when it is done if things go on as they do."""

    kind: Kind
    items: int
    finished: int
    left: int = Field(description="Answers that are still wanted.")
    a_day: float | None
    done_on: date | None
    earliest: date | None
    latest: date | None
    cost: str | None = Field(description="To owners.")
    currency: str


class TotalSpent(Answer):
    """What was spent in one currency."""

    currency: str
    amount: str
    an_answer: str | None


class DashboardOut(Answer):
    """How the work is going. People are names to owners, and pseudonyms to others."""

    read_at: datetime | None = Field(description="Up to when it was summed; null: never yet.")
    days: int
    by: Literal["day", "week"]
    whole: SumsOut
    ever: SumsOut
    bins: list[BinOut]
    people: list[PersonSums] = Field(description="Those who did most.")
    tags: list[TagSums]
    left: list[OutlookOut]
    spent: list[TotalSpent] | None = Field(description="To owners.")


class DashboardFilters(Query):
    """Which part of the work."""

    days: Literal["30", "90", "365"] = "30"
    kind: Kind | None = None
    group: IdInAddress | None = Field(None, description="Of people; to owners alone.")


@operations.get(
    "projects/<int:project_id>/agreement",
    again_in_s=lambda answer: 0 if answer.is_known else AGAIN_IN_S,
)
def get_agreement(call: Call, project_id: int, query: AgreementFilters) -> AgreementOut:
    """Show how far people agree, with intervals: in all, by guidelines, week and tag.

    Of a large project it is reckoned in the background: 202 says that it is not there yet. Owners,
    engineers and reviewers can.
    """
    project = access.get_project_for(call.user, project_id, *access.DECIDING)
    if query.batch is not None and not selectors.is_batch(project, query.batch):
        raise Http404("There is no such batch in this project.")
    group = _group(call, project, query.group)
    found = selectors.agreement_overview(project, query.batch, group)
    if found is None:
        return _not_known()
    called = _names(found, by_name=owns(call, project_id))
    return AgreementOut(
        is_known=True,
        made_at=found.made_at,
        batches=list(found.batches),
        lines=[
            *_lines("all", found.lines),
            *_lines("guideline version", found.versions),
            *_lines("week", found.weeks),
            *_lines("tag", found.tags),
        ],
        pairs=[
            PairLine(
                first=called[one.first],
                second=called[one.second],
                pairwise=_estimate(one.pairwise),
                kappa=_estimate(one.kappa),
            )
            for one in found.pairs
        ],
        choosers=[
            ChooserLine(person=called[one.person], meaning=one.meaning) for one in found.choosers
        ],
        doubted=[
            DoubtedLine(item=one.item, person=called[one.person], chance=one.chance)
            for one in found.doubted
        ],
        repeats=_estimate(found.repeats),
        decided=_estimate(found.decided),
        ceiling=_estimate(found.ceiling),
    )


@operations.get("projects/<int:project_id>/dashboard")
def get_dashboard(call: Call, project_id: int, query: DashboardFilters) -> DashboardOut:
    """Show how the work of the last days went, when it is done and, to owners, what it costs.

    Owners, engineers and reviewers can.
    """
    project = access.get_project_for(call.user, project_id, *access.DECIDING)
    shows_money = owns(call, project_id)
    group = _group(call, project, query.group)
    board = selectors.dashboard(
        project, int(query.days), kind=query.kind or "", people=selectors.people_in(group)
    )
    return DashboardOut(
        read_at=board.read_at,
        days=board.span,
        by="week" if board.is_weekly else "day",
        whole=_sums(board.whole),
        ever=_sums(board.ever),
        bins=[
            BinOut(
                start=one.start,
                all=_sums(one.all),
                by_kind=one.by_kind,
                spent=[
                    SpentOut(
                        currency=currency,
                        kind=Kind(kind) if kind else None,
                        amount=f"{micros / MICROS:.6f}",
                    )
                    for (currency, kind), micros in one.spent.items()
                ]
                if shows_money
                else None,
            )
            for one in board.bins
        ],
        people=[
            PersonSums(
                person=sums.name if shows_money else pseudonym(person),
                last_day=sums.last,
                sums=_sums(sums),
            )
            for person, sums in board.people
        ],
        tags=[TagSums(tag=one.name, sums=_sums(one)) for one in board.tags],
        left=[_outlook(one, shows_money=shows_money) for one in board.outlooks],
        spent=[
            TotalSpent(
                currency=one.currency,
                amount=str(one.amount),
                an_answer=None if one.an_answer is None else str(one.an_answer),
            )
            for one in board.spent
        ]
        if shows_money
        else None,
    )


def _group(call: Call, project: Project, number: int | None) -> Group | None:
    """Return a group that was asked for; only owners know who is in one."""
    return None if number is None else access.get_group_for(call.user, project.pk, number)


def _not_known() -> AgreementOut:
    nothing = EstimateOut(value=None, low=None, high=None, n=0)
    return AgreementOut(
        is_known=False,
        made_at=None,
        batches=[],
        lines=[],
        pairs=[],
        choosers=[],
        doubted=[],
        repeats=nothing,
        decided=nothing,
        ceiling=nothing,
    )


def _names(found: AgreementOverview, *, by_name: bool) -> dict[int, str]:
    ids = selectors.people_of(found)
    return selectors.names_of(ids) if by_name else {person: pseudonym(person) for person in ids}


def _lines(
    by: Literal["all", "guideline version", "week", "tag"], lines: Iterable[Line]
) -> list[AgreementLine]:
    return [
        AgreementLine(
            by=by,
            part=one.part,
            kind=one.kind,
            question=one.question,
            judged_twice=one.things,
            labels=one.labels,
            people=one.people,
            metric=one.metric,
            pairwise=_estimate(one.pairwise),
            fleiss=_estimate(one.fleiss),
            alpha=_estimate(one.alpha),
            interval_alpha=_estimate(one.interval_alpha),
            tau=_estimate(one.tau),
        )
        for one in lines
    ]


def _estimate(found: Estimate) -> EstimateOut:
    return EstimateOut(value=found.value, low=found.low, high=found.high, n=found.n)


def _sums(sums: Sums) -> SumsOut:
    return SumsOut(
        answers=sums.answers,
        imported=sums.imported,
        gold=sums.gold,
        gold_right=sums.gold_right,
        timed=sums.timed,
        active_seconds=sums.active_ms / 1000,
    )


def _outlook(found: selectors.Outlook, *, shows_money: bool) -> OutlookOut:
    middle, early, late = found.done_on or (None, None, None)
    if found.finish and found.finish.seen == 1:  # which says nothing of other days
        early = late = None
    return OutlookOut(
        kind=Kind(found.count.kind),
        items=found.count.items,
        finished=found.count.finished,
        left=found.left,
        a_day=found.finish.a_day if found.finish else None,
        done_on=middle,
        earliest=early,
        latest=late,
        cost=str(found.cost) if shows_money and found.cost is not None else None,
        currency=found.currency if shows_money else "",
    )
