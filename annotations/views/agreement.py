"""How far people agree: the page, and its tables as a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotations import access, selectors
from annotations.agreement_charts import Point, heat, parts_chart
from annotations.algorithms.reliability import Estimate
from annotations.csv_files import as_csv
from annotations.exports import pseudonym
from annotations.models import Group, Project, Role
from annotations.selectors import AgreementOverview, Line
from annotations.views.request import AuthenticatedRequest, is_from_script

READERS = (Role.OWNER, Role.ENGINEER, Role.REVIEWER)
STATISTICS = ("pairwise", "fleiss", "alpha", "interval_alpha", "tau")
COLUMNS = (
    "by",
    "part",
    "kind",
    "question",
    "judged_twice",
    "labels",
    "people",
    *(f"{name}{end}" for name in STATISTICS for end in ("", "_low", "_high", "_n")),
    "metric_of_alpha",
)


@dataclass(frozen=True)
class Cell:
    """Of the heat map: how often two people disagreed, how many things that is of, how dark."""

    share: float | None
    n: int
    shade: int


@dataclass(frozen=True)
class _Chosen:
    """Which part of the work is looked at."""

    batch: str | None
    group: Group | None
    groups: list[Group]
    """Those that can be chosen."""

    def overview(self, project: Project) -> AgreementOverview | None:
        return selectors.agreement_overview(project, self.batch, self.group)

    def begun(self, project: Project) -> datetime | None:
        return selectors.agreement_begun(project, self.batch, self.group)

    @property
    def query(self) -> str:
        chosen = {"batch": self.batch, "group": self.group.pk if self.group else None}
        return urlencode({name: value for name, value in chosen.items() if value is not None})


@login_required
@require_GET
def agreement(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Show the report, or that it is being reckoned: that page asks until the report is there."""
    project = access.get_project_for(request.user, project_id, *READERS)
    membership = access.get_membership_for(request.user, project_id)
    chosen = _chosen(request, project)
    overview = chosen.overview(project)
    parts = {
        "project": project,
        "membership": membership,
        "batch": chosen.batch,
        "group": chosen.group,
        "groups": chosen.groups,
        "query": chosen.query,
        "begun": chosen.begun(project),
    }
    if overview is None:
        name = "_agreement_waits" if is_from_script(request) else "agreement_waits"
        return render(request, f"annotations/{name}.html", parts)
    if is_from_script(request):
        return HttpResponse(headers={"HX-Refresh": "true"})
    names = _names_of(overview, by_name=membership.role == Role.OWNER)
    context = {
        **parts,
        "batches": overview.batches,
        "overview": overview,
        "charts": list(_charts(overview)),
        "heat_columns": _names(overview.tags),
        "heat_rows": list(_heat(overview)),
        "choosers": [(names[one.person], one) for one in overview.choosers],
        "doubted": [(names[one.person], one) for one in overview.doubted],
        "pairs": [(names[pair.first], names[pair.second], pair) for pair in overview.pairs],
    }
    return render(request, "annotations/agreement.html", context)


@login_required
@require_GET
def agreement_as_csv(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id, *READERS)
    overview = _chosen(request, project).overview(project)
    if overview is None:
        raise Http404("This report is being reckoned. Try again in some minutes.")
    rows = _rows(overview)
    response = HttpResponse("".join(as_csv(rows, COLUMNS)), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="agreement-{project.pk}.csv"'
    return response


def _chosen(request: AuthenticatedRequest, project: Project) -> _Chosen:
    batch = request.GET.get("batch", "")
    # Only owners know who is in a group.
    membership = access.get_membership_for(request.user, project.pk)
    is_owner = membership.role == Role.OWNER
    group = selectors.group_named(project, request.GET.get("group", "")) if is_owner else None
    return _Chosen(
        batch if selectors.is_batch(project, batch) else None,
        group,
        list(project.groups.all()) if is_owner else [],
    )


def _names_of(overview: AgreementOverview, *, by_name: bool) -> dict[int, str]:
    """Return what people are called: to owners by name, to others by the pseudonym of exports."""
    ids = selectors.people_of(overview)
    if by_name:
        return selectors.names_of(ids)
    return {person: pseudonym(person) for person in ids}


def _charts(overview: AgreementOverview) -> Iterator[tuple[str, str]]:
    """Yield a name and a picture for each sort of judgement that there are two weeks of."""
    for name in _names(overview.weeks):
        lines = [line for line in overview.weeks if line.name == name]
        if len(lines) > 1:
            points = [Point(line.part, line.alpha) for line in lines]
            yield name, parts_chart(f"{name}: alpha by week", points)


def _names(lines: tuple[Line, ...]) -> list[str]:
    return list(dict.fromkeys(line.name for line in lines))


def _heat(overview: AgreementOverview) -> Iterator[tuple[str, list[Cell]]]:
    """Yield the tags, those that people disagree about most first, with a cell for each column."""
    found = {(line.part, line.name): _cell(line) for line in overview.tags}
    columns = _names(overview.tags)
    empty = Cell(None, 0, 0)
    tags = dict.fromkeys(line.part for line in overview.tags)
    rows = [(tag, [found.get((tag, name), empty) for name in columns]) for tag in tags]
    yield from sorted(rows, key=lambda row: -max(cell.share or 0 for cell in row[1]))


def _cell(line: Line) -> Cell:
    agreed = line.pairwise.value
    if agreed is None:
        return Cell(None, line.things, 0)
    return Cell(1 - agreed, line.things, heat(1 - agreed))


def _rows(overview: AgreementOverview) -> Iterator[dict[str, Any]]:
    parts = {
        "all": overview.lines,
        "guideline version": overview.versions,
        "week": overview.weeks,
        "tag": overview.tags,
    }
    for by, lines in parts.items():
        for line in lines:
            row: dict[str, Any] = {
                "by": by,
                "part": line.part,
                "kind": line.kind,
                "question": line.question,
                "judged_twice": line.things,
                "labels": line.labels,
                "people": line.people,
                "metric_of_alpha": line.metric,
            }
            for name in STATISTICS:
                row |= _ends(name, getattr(line, name))
            yield row


def _ends(name: str, estimate: Estimate) -> dict[str, Any]:
    ends = {"": estimate.value, "_low": estimate.low, "_high": estimate.high}
    found: dict[str, Any] = {
        f"{name}{end}": "" if value is None else f"{value:.4f}" for end, value in ends.items()
    }
    return {**found, f"{name}_n": estimate.n}
