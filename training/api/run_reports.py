"""What a run would need, where it stands in line, how people like it on its way, how it compares,
and its files."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from annotations.api.files import pieces_of
from annotations.api.operations import Answer, Call, FileAnswer, Operations, Query, Scope
from training import access, artifacts, comparison, outcomes, selectors, services
from training.api.runs import NewRun, learning_from, settings_of
from training.forecast import forecast
from training.models import Stage
from training.pipeline.errors import PipelineError

operations = Operations("Runs, closer", refusals=(services.ServiceError, PipelineError))

JSON, TEXT, ZIP = "application/json", "text/plain", "application/zip"


class Needs(Answer):
    """What a run would need, in words; empty where nothing can be reckoned."""

    peak: str = Field(description="Of memory, at its highest.")
    parts: dict[str, str] = Field(description="What the peak is made of, the largest first.")
    number_type: str
    where: str
    free: str
    total: str
    disk: str
    disk_free: str
    warning: str = Field(description="What may go wrong; the run can be started all the same.")
    refusal: str = Field(description="Why the run can't be started.")


class WaitingOut(Answer):
    """A run's place in line, and why it has not begun."""

    run: int
    place: int = Field(description="Before it are those of other projects, too.")
    why: str
    is_stuck: bool = Field(description="Nobody has taken it although its turn has come.")


class Line(Answer):
    """The runs of a project that wait, in the order in which they will go."""

    runs: list[WaitingOut]


class Gain(Answer):
    """Reward above the start's, with its 95 % interval over prompts."""

    value: float
    low: float | None
    high: float | None


class SoFar(Answer):
    """A rate with a 95 % interval that holds however often one looks."""

    n: int
    rate: float
    low: float
    high: float


class LookOut(Answer):
    """One look: how far the policy was, what that brought, and how people like it."""

    distance: float = Field(description="The set distance, KL in nats.")
    kl: float
    step: int
    gain: Gain
    win_rate: SoFar = Field(description="Over the prompts that are finished.")
    votes: int
    awaited: int
    certain: int = Field(description="Prompts that nobody has to judge.")


class RadarOut(Answer):
    """How people like a run's policy on its way, beside what its reward model says of it."""

    looks: list[LookOut]
    ahead: list[float] = Field(description="Distances that the run has not reached.")
    stops: bool = Field(description="The run ends where reward and people part.")
    parted_at: float | None = Field(description="The distance of that look.")
    why: str = Field(description="What the parting is; empty where there is none.")


class Compare(Query):
    """Which runs."""

    runs: (
        Annotated[
            str,
            StringConstraints(
                pattern=rf"^[0-9]{{1,18}}(,[0-9]{{1,18}}){{0,{comparison.MOST_RUNS - 1}}}$"
            ),
        ]
        | None
    ) = Field(
        None,
        description="Their ids, with commas. One, or the newest if none is named, is held against "
        "an earlier one.",
    )


class RowOut(Answer):
    """One setting or result of every run, in the order of the runs."""

    name: str
    values: list[Any]
    differs: bool


class Comparison(Answer):
    """Runs of one stage side by side."""

    stage: Stage
    runs: list[int]
    settings: list[RowOut]
    results: list[RowOut]
    frontiers: dict[int, list[tuple[float, float]]] = Field(
        description="By run, √KL and score of every step, of stages that have a reference."
    )


@operations.post("projects/<int:project_id>/runs/estimate", Scope.READ)
def estimate_run(call: Call, project_id: int, body: NewRun) -> Needs:
    """Say what a run would need on this machine, and what speaks against it. Nothing is started."""
    project = access.get_project_for(call.user, project_id)
    config = settings_of(body.stage, body.config)
    job = services.run_to_be(project, body.stage, config, **learning_from(call, body))
    found = forecast(job)
    return Needs(**vars(found) | {"parts": dict(found.parts)})


@operations.get("projects/<int:project_id>/runs/line")
def list_waiting_runs(call: Call, project_id: int) -> Line:
    """Show which runs wait, in their order, and what for. Owners and engineers can."""
    project = access.get_project_for(call.user, project_id)
    return Line(
        runs=[
            WaitingOut(run=one.run.pk, place=one.place, why=one.why, is_stuck=one.is_stuck)
            for one in selectors.waiting_runs(project)
        ]
    )


@operations.get("projects/<int:project_id>/runs/comparison")
def compare_runs(call: Call, project_id: int, query: Compare) -> Comparison:
    """Hold runs of one stage against each other: what they were told, and what came of it.

    Their curves are at their `metrics`. Owners and engineers can.
    """
    project = access.get_project_for(call.user, project_id)
    newest = project.runs.order_by("-id").values_list("id", flat=True)[:1]
    asked = list(newest) if query.runs is None else [int(one) for one in query.runs.split(",")]
    runs = comparison.runs_to_compare(project, asked)
    if not runs:
        raise services.ServiceError("There are no such runs in this project. Start one first.")
    return Comparison(
        stage=Stage(runs[-1].stage),
        runs=[one.pk for one in runs],
        settings=[_row(one) for one in comparison.settings_side_by_side(runs)],
        results=[_row(one) for one in comparison.results_side_by_side(runs)],
        frontiers={one.pk: found for one in runs if (found := comparison.frontier(one))},
    )


@operations.get("runs/<int:run_id>/radar")
def get_radar(call: Call, run_id: int) -> RadarOut:
    """Show how people like a run's policy on its way, as the votes are now."""
    run = access.get_run_for(call.user, run_id)
    radar = selectors.radar_of(run)
    if radar is None:
        raise services.ServiceError(f"{run} has no radar: its setting `radar_kl` is empty.")
    return RadarOut(
        looks=[_look(one) for one in radar.points],
        ahead=radar.ahead,
        stops=radar.stops,
        parted_at=radar.parted_at.look.distance if radar.parted_at else None,
        why=radar.why,
    )


@operations.download("runs/<int:run_id>/log.txt", TEXT)
def download_log(call: Call, run_id: int) -> FileAnswer:
    """Get everything that a run's attempts wrote, as a file."""
    run = access.get_run_for(call.user, run_id)
    log = outcomes.log_file(run)
    if log is None:
        raise services.ServiceError(f"{run} has written no log yet.")
    return FileAnswer(f"run-{run.pk}.log", TEXT, pieces_of(log))


@operations.download("runs/<int:run_id>/job.json", JSON)
def download_job(call: Call, run_id: int) -> FileAnswer:
    """Get the file that `python -m training.pipeline` runs without the platform."""
    run = access.get_run_for(call.user, run_id)
    text = json.dumps(artifacts.job_outside(run).to_dict(), indent=2, ensure_ascii=False)
    return FileAnswer(f"run-{run.pk}.json", JSON, [f"{text}\n"])


@operations.download("runs/<int:run_id>/tensorboard.zip", ZIP)
def download_events(call: Call, run_id: int) -> FileAnswer:
    """Get the TensorBoard files of a run's attempts, one file each."""
    run = access.get_run_for(call.user, run_id)
    packed = outcomes.packed_events(run)
    if not packed:
        raise services.ServiceError(f"{run} has written no TensorBoard files yet.")
    return FileAnswer(f"run-{run.pk}-tensorboard.zip", ZIP, [packed])


def _row(row: comparison.Row) -> RowOut:
    return RowOut(name=row.name, values=list(row.values), differs=row.differs)


def _look(point: selectors.RadarPoint) -> LookOut:
    return LookOut(
        distance=point.look.distance,
        kl=point.look.kl,
        step=point.look.step,
        gain=Gain(**vars(point.gain)),
        win_rate=SoFar(**vars(point.win_rate)),
        votes=point.votes,
        awaited=point.awaited,
        certain=point.certain,
    )
