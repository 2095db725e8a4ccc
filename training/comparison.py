"""Runs side by side: what they were told, what came of it, their curves over each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

from training import figures, selectors
from training.charts import SERIES_CLASSES, Point, Series
from training.models import Run
from training.panels import PANELS, Panel, metric_title, series_name

if TYPE_CHECKING:
    from annotations.models import Project

MOST_RUNS = SERIES_CLASSES
"""More lines than colours can't be told apart."""
FRONTIERS = {
    "ppo": ("objective/kl", "objective/scores"),
    "grpo": ("objective/kl", "reward"),
    "rloo": ("objective/kl", "reward"),
}
"""Of stages that move away from a reference: the metrics of how far, and of what it brought."""


@dataclass(frozen=True)
class Row:
    """One setting or result of every run, in the order of the runs."""

    name: str
    values: tuple[Any, ...]
    differs: bool


def runs_to_compare(project: Project, numbers: Sequence[int]) -> list[Run]:
    """Return the project's runs with these numbers, those of the first one's stage, by number.

    One alone is held against an earlier one.
    """
    related = ("parent__run", "reward_checkpoint", "snapshot")
    runs = list(project.runs.filter(id__in=numbers).select_related(*related).order_by("id"))
    runs = [run for run in runs if run.stage == runs[0].stage]
    if len(runs) == 1 and (before := earlier_run(runs[0])) is not None:
        return [before, *runs]
    return runs


def earlier_run(run: Run) -> Run | None:
    """Return what a run is best held against: the run that its parent came out of, if it is of the
    same stage, else the one before it."""
    before = run.parent.run
    if before is not None and before.stage == run.stage:
        return before
    return run.project.runs.filter(stage=run.stage, id__lt=run.pk).order_by("-id").first()


def settings_side_by_side(runs: Sequence[Run]) -> list[Row]:
    """Return where the runs began and every setting; a setting that a run lacks is None."""
    rows = [
        _row("start from", [run.parent.name for run in runs]),
        _row("snapshot", [run.snapshot_id for run in runs]),
        _row("reward model", [_name(run.reward_checkpoint) for run in runs]),
    ]
    names = list(dict.fromkeys(name for run in runs for name in run.config if name != "stage"))
    rows += [_row(name, [run.config.get(name) for run in runs]) for name in names]
    return [row for row in rows if any(value is not None for value in row.values)]


def results_side_by_side(runs: Sequence[Run]) -> list[Row]:
    """Return the figures that the runs reported, those of the first run first."""
    found = [
        {figure.label: figure.value for figure in figures.result_figures(run.stage, run.results)}
        for run in runs
    ]
    labels = list(dict.fromkeys(label for one in found for label in one))
    return [_row(label, [one.get(label) for one in found]) for label in labels]


def curves_together(runs: Sequence[Run]) -> list[tuple[Panel, list[Series]]]:
    """Return every metric that any of the runs reported, one line for each run."""
    curves = {run.pk: selectors.run_curves(run) for run in runs}
    known = [
        Panel(_title(panel, name), (name,), panel.note)
        for panel in PANELS.get(runs[0].stage, ())
        for name in panel.names
    ]
    names = {name for panel in known for name in panel.names}
    others = sorted({name for one in curves.values() for name in one} - names)
    drawn = []
    for panel in [*known, *(Panel(metric_title(name), (name,)) for name in others)]:
        lines = [Series(f"run {run.pk}", curves[run.pk].get(panel.names[0], ())) for run in runs]
        if any(line.points for line in lines):
            drawn.append((panel, lines))
    return drawn


def frontier(run: Run, curves: dict[str, list[tuple[int, float]]] | None = None) -> list[Point]:
    """Return √KL and score of every step, in their order: what each step away from the reference
    brought (Gao et al. 2023, arXiv:2210.10760). Empty for stages that have no reference.
    """
    if run.stage not in FRONTIERS:
        return []
    curves = selectors.run_curves(run) if curves is None else curves
    kl_name, score_name = FRONTIERS[run.stage]
    scores = dict(curves.get(score_name, ()))
    return [
        (sqrt(max(kl, 0.0)), scores[step]) for step, kl in curves.get(kl_name, ()) if step in scores
    ]


def _title(panel: Panel, name: str) -> str:
    return f"{panel.title}, {series_name(name)}" if len(panel.names) > 1 else panel.title


def _row(name: str, values: list[Any]) -> Row:
    return Row(name, tuple(values), any(value != values[0] for value in values))


def _name(checkpoint: Any) -> str | None:
    return checkpoint.name if checkpoint else None
