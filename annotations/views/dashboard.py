"""How a project is going: the page, and each of its pictures as a picture and as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotations import access, selectors
from annotations.agreement_charts import Point, parts_chart, share_point
from annotations.algorithms.pay import MICROS
from annotations.algorithms.reliability import Estimate
from annotations.csv_files import as_csv
from annotations.dashboard_charts import Bar, bars_chart, heat_map, rows_chart, standalone
from annotations.exports import pseudonym
from annotations.models import Group, Kind, Project, Role
from annotations.selectors import AgreementOverview, Dashboard, Line, Sums
from annotations.views.request import AuthenticatedRequest

READERS = (Role.OWNER, Role.ENGINEER, Role.REVIEWER)
MOST_BARS = 12
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Panel:
    """One picture with its words, and the table that it is drawn from."""

    name: str
    title: str
    note: str
    picture: str
    """An SVG, or nothing where there is nothing to draw."""
    missing: str
    """What to do first, where there is nothing."""
    columns: tuple[str, ...]
    rows: Sequence[Row]
    keys: tuple[str, ...] = ()
    """What the colours of the parts stand for, in their order."""


@dataclass(frozen=True)
class _Facts:
    """What the panels are made of."""

    board: Dashboard
    agreement: AgreementOverview | None
    """None while it is being reckoned."""
    kind: str
    """Empty: all kinds of work."""
    group: Group | None
    """None: everybody."""
    shows_money: bool
    call: Callable[[int, str], str]
    """What a person is called here."""

    @property
    def query(self) -> str:
        """Return what addresses of the same part of the work end with, but for the time."""
        chosen = {"kind": self.kind, "group": self.group.pk if self.group else ""}
        return "".join(f"&{name}={value}" for name, value in chosen.items() if value)

    @property
    def by(self) -> str:
        return "week" if self.board.is_weekly else "day"


@login_required
@require_GET
def dashboard(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id, *READERS)
    membership = access.get_membership_for(request.user, project_id)
    facts = _facts(request, project, shows_money=membership.role == Role.OWNER)
    context = {
        "project": project,
        "membership": membership,
        "spans": selectors.SPANS,
        "board": facts.board,
        "kind": facts.kind,
        "kinds": [one for one in Kind if one in (facts.kind, *facts.board.known_kinds)],
        "group": facts.group,
        "groups": list(project.groups.all()) if facts.shows_money else [],
        "query": facts.query,
        "agreement": facts.agreement,
        "shows_money": facts.shows_money,
        "panels": list(_panels(facts)),
        "people": [(facts.call(*_named(one)), one[0], one[1]) for one in facts.board.people],
        "has_items": project.items.exists(),
    }
    return render(request, "annotations/dashboard.html", context)


@login_required
@require_GET
def dashboard_file(
    request: AuthenticatedRequest, project_id: int, panel: str, ending: str
) -> HttpResponse:
    """Send the table behind a picture, or the picture."""
    project = access.get_project_for(request.user, project_id, *READERS)
    membership = access.get_membership_for(request.user, project_id)
    facts = _facts(request, project, shows_money=membership.role == Role.OWNER)
    found = next((one for one in _panels(facts) if one.name == panel), None)
    if found is None or ending not in ("csv", "svg") or (ending == "svg" and not found.picture):
        raise Http404("There is no such picture.")
    if ending == "csv":
        text, kind = "".join(as_csv(found.rows, found.columns)), "text/csv"
    else:
        text, kind = (
            standalone(found.picture, f"{found.title}, {found.note}", found.keys),
            "image/svg+xml",
        )
    response = HttpResponse(text, content_type=f"{kind}; charset=utf-8")
    name = f"{panel}-{project.pk}-{facts.board.span}-days.{ending}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _facts(request: AuthenticatedRequest, project: Project, *, shows_money: bool) -> _Facts:
    wanted = request.GET.get("days", "")
    span = int(wanted) if wanted in map(str, selectors.SPANS) else selectors.SPANS[0]

    kind = request.GET.get("kind", "")
    kind = kind if kind in Kind.values else ""
    # Only owners know who is in a group.
    group = selectors.group_named(project, request.GET.get("group", "")) if shows_money else None

    def by_name(_person: int, name: str) -> str:
        return name

    def by_pseudonym(person: int, _name: str) -> str:
        return pseudonym(person)

    return _Facts(
        board=selectors.dashboard(project, span, kind=kind, people=selectors.people_in(group)),
        agreement=selectors.agreement_overview(project, group=group),
        kind=kind,
        group=group,
        shows_money=shows_money,
        call=by_name if shows_money else by_pseudonym,
    )


def _named(one: tuple[int, Sums]) -> tuple[int, str]:
    return one[0], one[1].name


def _panels(facts: _Facts) -> Iterator[Panel]:
    yield _answers(facts)
    yield _people(facts)
    yield _speed(facts)
    yield _gold(facts)
    yield from _agreement(facts)
    yield _tags(facts)
    if facts.shows_money:
        yield from _cost(facts)


def _answers(facts: _Facts) -> Panel:
    names = tuple(Kind(kind).label for kind in facts.board.kinds)
    bars = [
        Bar(one.start.isoformat(), {Kind(k).label: n for k, n in one.by_kind.items()})
        for one in facts.board.bins
    ]
    columns = ("from", *(f"{kind}" for kind in facts.board.kinds), "imported", "gold")
    rows = [
        {
            "from": one.start.isoformat(),
            **{kind: one.by_kind.get(kind, 0) for kind in facts.board.kinds},
            "imported": one.all.imported,
            "gold": one.all.gold,
        }
        for one in facts.board.bins
    ]
    return Panel(
        name="answers",
        title="Answers",
        note=f"by {facts.by} and kind of work",
        picture=bars_chart("Answers", bars, names, "answers") if names else "",
        missing="Nobody has answered in this time. Invite people, or look at what waits below.",
        columns=columns,
        rows=rows,
        keys=names,
    )


def _people(facts: _Facts) -> Panel:
    named = [(facts.call(*_named(one)), one[1]) for one in facts.board.people]
    drawn = [
        (name, float(sums.answers + sums.imported), f"{sums.answers + sums.imported:,}")
        for name, sums in named[:MOST_BARS]
    ]
    return Panel(
        name="people",
        title="People",
        note=f"answers by person{f', the first {MOST_BARS}' if len(named) > MOST_BARS else ''}",
        picture=rows_chart("Answers by person", drawn) if drawn else "",
        missing="Nobody has answered in this time.",
        columns=("person", *SUM_COLUMNS, "last_day"),
        rows=[{"person": name, **_sums(one), "last_day": one.last or ""} for name, one in named],
    )


def _speed(facts: _Facts) -> Panel:
    bars = [Bar(one.start.isoformat(), {"": one.all.an_hour or 0.0}) for one in facts.board.bins]
    timed = any(one.all.timed for one in facts.board.bins)
    return Panel(
        name="speed",
        title="Speed",
        note=f"answers in an hour at work, by {facts.by}",
        picture=bars_chart("Answers in an hour at work", bars, ("",), "an hour") if timed else "",
        missing="No time was measured yet: it is while people label here.",
        columns=("from", "timed", "active_hours", "answers_an_hour", "seconds_an_answer"),
        rows=[
            {
                "from": one.start.isoformat(),
                "timed": one.all.timed,
                "active_hours": f"{one.all.hours:.3f}",
                "answers_an_hour": _plain(one.all.an_hour),
                "seconds_an_answer": _plain(one.all.seconds),
            }
            for one in facts.board.bins
        ],
    )


def _gold(facts: _Facts) -> Panel:
    weeks = [(one.start.isoformat(), one.all) for one in facts.board.weeks]
    points = [share_point(start, sums.rightness) for start, sums in weeks]
    asked = any(sums.gold for _, sums in weeks)
    return Panel(
        name="gold",
        title="Gold",
        note="share of gold items answered as known, by week",
        picture=parts_chart("Gold items answered as known, by week", points) if asked else "",
        missing="No gold item was answered. Make some from adjudicated items, and set in the "
        "settings how often people meet one.",
        columns=("from", "gold", "right", "share", "low", "high"),
        rows=[
            {
                "from": start,
                "gold": sums.gold,
                "right": sums.gold_right,
                **_ends(point.estimate),
            }
            for (start, sums), point in zip(weeks, points, strict=True)
        ],
    )


def _agreement(facts: _Facts) -> Iterator[Panel]:
    """Yield a panel for each sort of judgement, or the one that says what is missing."""
    weeks = _of_kind(facts, facts.agreement.weeks if facts.agreement else ())
    names = list(dict.fromkeys(line.name for line in weeks))
    for place, name in enumerate(names, start=1):
        lines = [line for line in weeks if line.name == name]
        points = [Point(line.part, line.alpha) for line in lines]
        known = any(point.estimate.value is not None for point in points)
        yield Panel(
            name=f"agreement-{place}",
            title=f"Agreement: {name}",
            note="Krippendorff’s alpha by week",
            picture=parts_chart(f"{name}: alpha by week", points) if known else "",
            missing=_why_no_alpha(lines),
            columns=("week", "judged_twice", "labels", "share", "low", "high"),
            rows=[
                {
                    "week": line.part,
                    "judged_twice": line.things,
                    "labels": line.labels,
                    **_ends(line.alpha),
                }
                for line in lines
            ],
        )
    if not names and not facts.kind:
        yield Panel(
            name="agreement-1",
            title="Agreement",
            note="over time",
            picture="",
            missing="It is being reckoned; look again in some minutes."
            if facts.agreement is None
            else "Nothing was judged yet. Once two people have judged the same, this says how far "
            "they agree.",
            columns=("week",),
            rows=[],
        )


def _of_kind(facts: _Facts, lines: Iterable[Line]) -> list[Line]:
    return [line for line in lines if facts.kind in ("", line.kind)]


def _why_no_alpha(lines: Iterable[Line]) -> str:
    if any(line.things for line in lines):
        return "Everybody gave one and the same answer, so chance is nothing to be held against."
    return (
        "Nothing was judged by two people yet. Raise “labellers per comparison” in the settings "
        "to learn how far they agree."
    )


def _tags(facts: _Facts) -> Panel:
    lines = _of_kind(facts, facts.agreement.tags if facts.agreement else ())
    columns = list(dict.fromkeys(line.name for line in lines))
    shares = {
        (line.part, line.name): None if line.pairwise.value is None else 1 - line.pairwise.value
        for line in lines
    }
    tags = dict.fromkeys(line.part for line in lines)
    cells = [(tag, [shares.get((tag, name)) for name in columns]) for tag in tags]
    drawn = [row for row in cells if any(share is not None for share in row[1])]
    drawn.sort(key=lambda row: -max(share or 0 for share in row[1]))
    done = {one.name: one for one in facts.board.tags}
    names = dict.fromkeys([*tags, *done])
    return Panel(
        name="tags",
        title="Disagreement by tag",
        note="how often two people said something else about the same",
        picture=heat_map("Disagreement by tag", columns, drawn[:MOST_BARS]) if drawn else "",
        missing="Tag prompts as you add them, and let two people judge the same: then this says "
        "where the guidelines may not say enough.",
        columns=("tag", *(f"disagreement: {name}" for name in columns), *SUM_COLUMNS),
        rows=[
            {
                "tag": tag,
                **{f"disagreement: {c}": _plain(shares.get((tag, c)), 4) for c in columns},
                **_sums(done.get(tag, Sums(tag))),
            }
            for tag in names
        ],
    )


def _cost(facts: _Facts) -> Iterator[Panel]:
    """Yield a panel for each currency that was spent, or one that says where rates are set."""
    for spent in facts.board.spent:
        in_it = [
            {kind: micros for (cur, kind), micros in one.spent.items() if cur == spent.currency}
            for one in facts.board.bins
        ]
        kinds = [kind for kind in (*Kind.values, "") if any(kind in one for one in in_it)]
        labels = {kind: Kind(kind).label if kind else "Adjustments" for kind in kinds}
        bars = [
            Bar(
                one.start.isoformat(),
                {labels[kind]: float(micros) / MICROS for kind, micros in amounts.items()},
            )
            for one, amounts in zip(facts.board.bins, in_it, strict=True)
        ]
        names = tuple(labels.values())
        yield Panel(
            name=f"cost-{spent.currency}",
            title=f"Cost in {spent.currency}",
            note=f"by {facts.by} and kind of work",
            picture=bars_chart(f"Cost in {spent.currency}", bars, names, spent.currency),
            missing="",
            columns=("from", *(kind or "adjustments" for kind in kinds), "currency"),
            rows=[
                {
                    "from": one.start.isoformat(),
                    **{kind or "adjustments": _money(amounts.get(kind, 0)) for kind in kinds},
                    "currency": spent.currency,
                }
                for one, amounts in zip(facts.board.bins, in_it, strict=True)
            ],
            keys=names,
        )
    if not facts.board.spent:
        yield Panel(
            name="cost",
            title="Cost",
            note=f"by {facts.by}",
            picture="",
            missing="Nothing was paid in this time. Rates are set under Pay; work is unpaid until "
            "there is one.",
            columns=("from",),
            rows=[],
        )


SUM_COLUMNS = (
    "answers", "imported", "gold", "gold_right", "active_hours", "answers_an_hour",
)  # fmt: skip


def _sums(sums: Sums) -> dict[str, Any]:
    return {
        "answers": sums.answers,
        "imported": sums.imported,
        "gold": sums.gold,
        "gold_right": sums.gold_right,
        "active_hours": f"{sums.hours:.3f}",
        "answers_an_hour": _plain(sums.an_hour),
    }


def _ends(estimate: Estimate) -> dict[str, str]:
    ends = {"share": estimate.value, "low": estimate.low, "high": estimate.high}
    return {name: _plain(value, 4) for name, value in ends.items()}


def _plain(value: float | None, places: int = 2) -> str:
    return "" if value is None else f"{value:.{places}f}"


def _money(micros: int) -> str:
    return f"{micros / MICROS:.6f}"
