"""Starting runs, watching and stopping them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from training import access, selectors, services
from training.charts import PANELS, Panel, Series, line_chart
from training.forms import SNAPSHOT_CONTENT, TRAINED_STAGES, RunForm, run_defaults
from training.models import Checkpoint, Evaluation, Run, Stage
from training.pipeline.presets import presets_of
from training.reports import reward_report
from training.views.shared import (
    LIST_SECONDS,
    RUN_SECONDS,
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
ALIVE = (Run.State.QUEUED, Run.State.RUNNING)


@dataclass(frozen=True)
class Drawn:
    """A small chart with its heading and how to read it."""

    title: str
    note: str
    svg: str
    names: list[str]


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
    stage = request.GET.get("stage", Stage.SFT)
    if stage not in TRAINED_STAGES:
        raise Http404(f"There is no form for the stage {stage!r}.")
    if request.method != "POST":
        form = RunForm(project, stage, initial=_run_defaults(request, project, stage))
        return _new_run_page(request, project, form)
    form = RunForm(project, stage, request.POST)
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
@require_safe
def run(request: AuthenticatedRequest, run_id: int) -> HttpResponse:
    run = access.get_run_for(request.user, run_id)
    context = {
        "run": run,
        "live": _run_live(request, run),
        "is_alive": run.state in ALIVE,
        "is_repeatable": run.stage in TRAINED_STAGES,
    }
    return show_page(request, run.project, "training/run.html", context)


@login_required
@require_safe
def run_status(request: AuthenticatedRequest, run_id: int) -> HttpResponse:
    run = access.get_run_for(request.user, run_id)
    return answer_fragment(request, _run_live(request, run))


@login_required
@require_POST
def cancel_run(request: AuthenticatedRequest, run_id: int) -> HttpResponse:
    run = access.get_run_for(request.user, run_id)
    attempt(request, lambda: services.request_cancel(run, request.user))
    return redirect("training:run", run_id)


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
    panels += [Panel(name, (name,)) for name in sorted(curves) if name not in known]
    drawn = []
    for panel in panels:
        series = [Series(name, curves[name]) for name in panel.names if curves.get(name)]
        if series:
            svg = line_chart(panel.title, series)
            drawn.append(Drawn(panel.title, panel.note, svg, [s.name for s in series]))
    return drawn


def _new_run_page(
    request: AuthenticatedRequest, project: Project, form: RunForm, status: int = 200
) -> HttpResponse:
    query = request.GET.copy()
    query.pop("preset", None)
    context = {
        "form": form,
        "stage": Stage(form.stage),
        "stages": TRAINED_STAGES,
        "presets": presets_of(form.stage),
        "preset": request.GET.get("preset", ""),
        "query": query.urlencode(),
        "content": SNAPSHOT_CONTENT[form.stage],
    }
    return show_page(request, project, "training/new_run.html", context, status)


def _run_defaults(request: AuthenticatedRequest, project: Project, stage: str) -> dict[str, Any]:
    """Return what the form starts with, with what the address names in place of the newest."""
    earlier = request.GET.get("from", "")
    values = run_defaults(
        project,
        stage,
        preset=request.GET.get("preset", ""),
        earlier=project.runs.filter(id=earlier, stage=stage).first() if earlier.isdigit() else None,
    )
    sources = ("parent", "snapshot", "reward_checkpoint")
    return values | {n: request.GET[n] for n in sources if request.GET.get(n, "").isdigit()}
