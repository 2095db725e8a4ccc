"""Starting runs, watching and stopping them."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from training import access, artifacts, outcomes, selectors, services
from training.charts import Series, line_chart
from training.comparison import frontier
from training.forecast import Forecast, forecast
from training.forms import SNAPSHOT_CONTENT, TRAINED_STAGES, RunForm, posted, run_defaults
from training.models import Checkpoint, Evaluation, Run, Stage
from training.panels import PANELS, Panel, metric_title, series_name
from training.pipeline.config import parse_config, read_settings
from training.pipeline.errors import PipelineError
from training.pipeline.presets import presets_of
from training.reports import reward_report
from training.views.compare import frontier_chart
from training.views.radar import radar_context
from training.views.shared import (
    LIST_SECONDS,
    RUN_SECONDS,
    Drawn,
    Live,
    answer_fragment,
    attempt,
    render_live,
    run_row,
    show_page,
)

if TYPE_CHECKING:
    from annotations.models import Project
    from training.views.shared import AuthenticatedRequest

RUNS_PER_PAGE = 50
LONGEST_NUMBER = 18
"""Digits of a number that every database takes."""
LONGEST_SETTINGS = 1_000_000
"""Bytes read of a file of settings; a real one has a few thousand."""
ALIVE = (Run.State.QUEUED, Run.State.RUNNING)


@login_required
@require_safe
def runs(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    context = {"live": _runs_live(request, project), "stages": TRAINED_STAGES}
    return show_page(request, project, "training/runs.html", context)


@login_required
@require_safe
def runs_status(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    return answer_fragment(request, _runs_live(request, project))


@login_required
def new_run(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    stage = _stage(request)
    if request.method != "POST":
        form = RunForm(project, stage, initial=_run_defaults(request, project, stage))
        return _new_run_page(request, project, form)
    if "fill" in request.POST:
        return _filled_from_file(request, project, stage)
    form = RunForm(project, stage, request.POST)
    if "estimate" in request.POST:
        return _new_run_page(request, project, form)
    if form.is_valid():
        try:
            started = services.start_run(
                project,
                stage,
                form.config(),
                parent=form.cleaned_data["parent"],
                snapshot=form.cleaned_data["snapshot"],
                reward_checkpoint=form.cleaned_data.get("reward_checkpoint"),
                started_by=request.user,
            )
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            return redirect("training:run", started.pk)
    return _new_run_page(request, project, form, status=422)


@login_required
@require_POST
def estimate_run(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Answer what the run of an unsent form would need; nothing is written."""
    project = access.get_project_for(request.user, project_id)
    stage = _stage(request)
    form = RunForm(project, stage, request.POST)
    context = {"project": project, "stage": stage, "forecast": _forecast(project, form)}
    return render(request, "training/_estimate.html", context)


@login_required
@require_safe
def run(request: AuthenticatedRequest, run_id: int) -> HttpResponse:
    run = access.get_run_for(request.user, run_id)
    context = {
        "run": run,
        "live": _run_live(request, run),
        "marked": selectors.reach(run.project),
        "is_alive": run.state in ALIVE,
        "is_repeatable": run.stage in TRAINED_STAGES,
        "has_events": bool(outcomes.event_files(run)),
    }
    return show_page(request, run.project, "training/run.html", context)


@login_required
@require_safe
def run_status(request: AuthenticatedRequest, run_id: int) -> HttpResponse:
    run = access.get_run_for(request.user, run_id)
    return answer_fragment(request, _run_live(request, run))


@login_required
@require_safe
def download_log(request: AuthenticatedRequest, run_id: int) -> HttpResponseBase:
    """Hand out everything that the run's attempts wrote."""
    run = access.get_run_for(request.user, run_id)
    log = outcomes.log_file(run)
    if log is None:
        raise Http404(f"{run} has written no log yet.")
    return FileResponse(
        log.open("rb"),
        as_attachment=True,
        filename=f"run-{run.pk}.log",
        content_type="text/plain; charset=utf-8",
    )


@login_required
@require_safe
def download_events(request: AuthenticatedRequest, run_id: int) -> HttpResponse:
    """Hand out the TensorBoard files of the run's attempts, one file each."""
    run = access.get_run_for(request.user, run_id)
    packed = outcomes.packed_events(run)
    if not packed:
        raise Http404(f"{run} has written no TensorBoard files yet.")
    response = HttpResponse(packed, content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="run-{run.pk}-tensorboard.zip"'
    return response


@login_required
@require_safe
def export_job(request: AuthenticatedRequest, run_id: int) -> HttpResponse:
    """Hand out the file that `python -m training.pipeline` runs without the platform."""
    run = access.get_run_for(request.user, run_id)
    try:
        job = artifacts.job_outside(run).to_dict()
    except PipelineError as error:  # settings of an older version
        raise Http404(f"The settings of {run} can't be exported: {error}") from None
    response = HttpResponse(
        json.dumps(job, indent=2, ensure_ascii=False) + "\n", content_type="application/json"
    )
    response["Content-Disposition"] = f'attachment; filename="run-{run.pk}.json"'
    return response


@login_required
@require_POST
def cancel_run(request: AuthenticatedRequest, run_id: int) -> HttpResponse:
    run = access.get_run_for(request.user, run_id)
    attempt(request, lambda: services.request_cancel(run, request.user))
    return redirect("training:run", run_id)


@login_required
@require_POST
def set_priority(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Move a waiting run up or down; the button that was pressed names it."""
    project = access.get_project_for(request.user, project_id)
    for verb, step in (("raise", 1), ("lower", -1)):
        number = request.POST.get(verb, "")
        if number.isdecimal() and len(number) <= LONGEST_NUMBER:
            run = access.get_run_for(request.user, int(number))
            if run.project_id != project.pk:
                raise Http404("That run belongs to another project.")
            wanted = max(min(run.priority + step, Run.Priority.HIGH), Run.Priority.LOW)
            attempt(request, partial(services.set_priority, run, wanted, request.user))
    return redirect("training:runs", project_id)


def _filled_from_file(request: AuthenticatedRequest, project: Project, stage: str) -> HttpResponse:
    """Show the form with the settings of an exported job; nothing is started."""
    initial = _run_defaults(request, project, stage)
    try:
        initial |= read_settings(_settings_text(request), stage)
    except PipelineError as error:
        form = RunForm(project, stage, posted(stage, initial))
        form.add_error(None, str(error))
        return _new_run_page(request, project, form, status=422)
    return _new_run_page(request, project, RunForm(project, stage, initial=initial))


def _settings_text(request: HttpRequest) -> str:
    """Return the text of the chosen file, else what was pasted."""
    file = request.FILES.get("file")
    if file is None:
        return request.POST.get("settings", "")
    return file.read(LONGEST_SETTINGS).decode("utf-8", "replace")


def _stage(request: HttpRequest) -> str:
    stage = request.GET.get("stage", Stage.SFT)
    if stage not in TRAINED_STAGES:
        raise Http404(f"There is no form for the stage {stage!r}.")
    return stage


def _forecast(project: Project, form: RunForm) -> Forecast | None:
    """Return what the form's run would need; None while the form does not say what it is."""
    if not form.is_bound:
        form = RunForm(project, form.stage, posted(form.stage, dict(form.initial)))
    if not form.is_valid():
        return None
    return forecast(
        artifacts.job_to_be(
            project.pk,
            parse_config(form.stage, form.config()),
            parent=form.cleaned_data["parent"],
            snapshot=form.cleaned_data["snapshot"],
            reward_checkpoint=form.cleaned_data.get("reward_checkpoint"),
        )
    )


def _runs_live(request: HttpRequest, project: Project) -> Live:
    related = ("snapshot", "parent", "reward_checkpoint", "started_by", "checkpoint")
    found = project.runs.select_related(*related)
    stage = request.GET.get("stage", "")
    if stage in Stage.values:
        found = found.filter(stage=stage)
    page = Paginator(found, RUNS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "page": page,
        "stage": stage,
        "stages": [("", "All"), *Stage.choices],
        "rows": [run_row(run) for run in page],
        "marked": selectors.reach(project),
        "line": [w for w in selectors.waiting_runs(project) if stage in ("", w.run.stage)],
        "waiting": project.runs.filter(state=Run.State.QUEUED).count(),
        "running": project.runs.filter(state=Run.State.RUNNING).count(),
    }
    url = reverse("training:runs_status", args=[project.pk])
    query = f"?stage={stage}&page={page.number}"
    return render_live(request, "training/_runs.html", context, url + query, LIST_SECONDS)


def _run_live(request: HttpRequest, run: Run) -> Live:
    context = {
        **run_row(run),
        "checkpoint": Checkpoint.objects.filter(run=run).first(),
        "evaluation": Evaluation.objects.filter(Q(run=run) | Q(child__run=run)).first(),
        **radar_context(run),
        "charts": _charts(run),
        "report": reward_report(run.results) if run.stage == Stage.REWARD else None,
        "is_repeatable": run.stage in TRAINED_STAGES,
        "preset_from": reverse("training:new_run", args=[run.project_id]),
    }
    url = reverse("training:run_status", args=[run.pk]) if run.state in ALIVE else ""
    return render_live(request, "training/_run_status.html", context, url, RUN_SECONDS)


def _charts(run: Run) -> list[Drawn]:
    """Return the run's curves as small charts; metrics that no panel knows come last."""
    curves = selectors.run_curves(run)
    panels = list(PANELS.get(run.stage, ()))
    known = {name for panel in panels for name in panel.names}
    others = [name for name in sorted(curves) if name not in known]
    panels += [Panel(metric_title(name), (name,)) for name in others]
    drawn = []
    if points := frontier(run, curves):
        drawn.append(frontier_chart([Series(f"run {run.pk}", points)]))
    for panel in panels:
        names = [name for name in panel.names if curves.get(name)]
        series = [
            Series(series_name(name) if len(names) > 1 else name, curves[name]) for name in names
        ]
        if series:
            svg = line_chart(panel.title, series)
            drawn.append(Drawn(panel.title, panel.note, svg, [s.name for s in series]))
    return drawn


def _new_run_page(
    request: AuthenticatedRequest, project: Project, form: RunForm, status: int = 200
) -> HttpResponse:
    query = request.GET.copy()
    query.pop("preset", None)
    form.use_labels()
    context = {
        "form": form,
        "stage": Stage(form.stage),
        "stages": TRAINED_STAGES,
        "presets": presets_of(form.stage),
        "preset": request.GET.get("preset", ""),
        "query": query.urlencode(),
        "content": SNAPSHOT_CONTENT[form.stage],
        "forecast": _forecast(project, form),
        "earlier": _earlier(request, project, form.stage),
        "mended": "mended" in request.GET,
    }
    return show_page(request, project, "training/new_run.html", context, status)


def _earlier(request: HttpRequest, project: Project, stage: str) -> Run | None:
    """Return the run of the address that the form starts from, if there is one."""
    number = request.GET.get("from", "")
    if not number.isdecimal() or len(number) > LONGEST_NUMBER:
        return None
    return project.runs.filter(id=number, stage=stage).first()


def _run_defaults(request: AuthenticatedRequest, project: Project, stage: str) -> dict[str, Any]:
    """Return what the form starts with, with what the address names in place of the newest."""
    values = run_defaults(
        project,
        stage,
        preset=request.GET.get("preset", ""),
        earlier=_earlier(request, project, stage),
        mended="mended" in request.GET,
    )
    sources = ("parent", "snapshot", "reward_checkpoint")
    return values | {n: request.GET[n] for n in sources if request.GET.get(n, "").isdigit()}
