"""Runs of one stage side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.views.decorators.http import require_safe

from training import access, charts, comparison
from training.charts import Series, line_chart
from training.models import Run, Stage
from training.views.shared import Drawn, show_page

if TYPE_CHECKING:
    from training.views.shared import AuthenticatedRequest

OFFERED = 30
"""Runs of a stage that the page offers to compare, the newest first."""


@login_required
@require_safe
def compare(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Show what differs between the runs in the address; with one, hold it against an earlier."""
    project = access.get_project_for(request.user, project_id)
    asked = request.GET.getlist("run")
    numbers = [int(number) for number in asked if number.isdecimal() and len(number) < 19]
    chosen = comparison.runs_to_compare(project, numbers)
    runs, left_out = chosen[: comparison.MOST_RUNS], chosen[comparison.MOST_RUNS :]
    stage = Stage(runs[-1].stage) if runs else ""
    offered = project.runs.filter(stage=stage).select_related("parent")
    context = {
        "runs": runs,
        "left_out": left_out,
        "most": comparison.MOST_RUNS,
        "stage": stage,
        "offered": offered[:OFFERED],
        "chosen": [run.pk for run in runs],
        "settings": comparison.settings_side_by_side(runs) if runs else [],
        "results": comparison.results_side_by_side(runs) if runs else [],
        "charts": _charts(runs) if runs else [],
    }
    return show_page(request, project, "training/compare.html", context)


def _charts(runs: list[Run]) -> list[Drawn]:
    drawn = []
    frontiers = [Series(f"run {run.pk}", comparison.frontier(run)) for run in runs]
    if any(line.points for line in frontiers):
        drawn.append(frontier_chart(frontiers))
    for panel, lines in comparison.curves_together(runs):
        svg = line_chart(panel.title, lines)
        drawn.append(Drawn(panel.title, panel.note, svg, [line.name for line in lines]))
    return drawn


def frontier_chart(lines: list[Series]) -> Drawn:
    """Return the chart of score over √KL, in a colour for each run."""
    title = "Score over √KL"
    note = (
        "A dot a step, the later the stronger; the line is the best score within a distance from "
        "the reference. Dots that fall far below it at its end are overfit."
    )
    svg = charts.frontier_chart(title, lines, "√KL")
    return Drawn(title, note, svg, [line.name for line in lines])
