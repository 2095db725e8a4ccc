"""The pages of training, for the owners and engineers of a project.

A page that shows something alive holds a fragment that asks for itself again every few seconds.
The fragment carries a digest of what it shows; the server answers 204 while that is unchanged, so
that focus, selection and scroll stay where they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_POST, require_safe

from annotations.models import Role
from training import access, artifacts, examples, lifecycle, selectors, services
from training.charts import PANELS, Panel, Series, line_chart
from training.forms import (
    PRESETS,
    SNAPSHOT_CONTENT,
    TRAINED_STAGES,
    CompletionsForm,
    EvaluationForm,
    FreezeForm,
    PromotionForm,
    RunForm,
)
from training.models import Checkpoint, DatasetSnapshot, Evaluation, Run, Stage

if TYPE_CHECKING:
    from annotations.models import Project, User

    class AuthenticatedRequest(HttpRequest):
        """A request behind `login_required`."""

        user: User


RUNS_PER_PAGE = 50
RUN_SECONDS, LIST_SECONDS = 2, 5
"""How often a page asks again what is new."""
ALIVE = (Run.State.QUEUED, Run.State.RUNNING)


@dataclass(frozen=True)
class Live:
    """A fragment that is alive: where it asks again, until `url` is empty."""

    html: SafeString
    digest: str
    url: str
    seconds: int


@dataclass(frozen=True)
class Drawn:
    """A small chart with its heading and how to read it."""

    title: str
    note: str
    svg: str
    names: list[str]


# The loop ----------------------------------------------------------------------------------


@login_required
@require_safe
def loop(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    current = selectors.open_round(project)
    past = project.rounds.filter(ended_at__isnull=False).select_related(
        "policy", "sample_run", "reward_run", "policy_run__checkpoint", "evaluation", "promotion"
    )
    context = {
        "live": _loop_live(request, project),
        "round": current,
        "promoted": selectors.promoted_checkpoint(project),
        "past": [(one, _result(one.evaluation)) for one in past],
    }
    return _page(request, project, "training/loop.html", context)


@login_required
@require_safe
def loop_status(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    return _fragment(request, _loop_live(request, project))


@login_required
@require_POST
def open_round(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    _attempt(request, lambda: services.open_round(project))
    return redirect("training:loop", project_id)


@login_required
@require_POST
def close_round(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    decision = request.POST.get("decision", "").strip()
    if decision:
        _attempt(request, lambda: services.close_round(project, decision=decision))
    else:
        messages.error(request, "Say why the round ends without a promotion.")
    return redirect("training:loop", project_id)


# Snapshots ---------------------------------------------------------------------------------


@login_required
@require_safe
def snapshots(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    wanted = request.GET.get("content") or _content_needed_next(project)
    return _snapshots_page(request, project, FreezeForm(initial={"content": wanted}))


@login_required
@require_POST
def freeze(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    form = FreezeForm(request.POST)
    if form.is_valid():
        try:
            snapshot = services.freeze_snapshot(
                project, created_by=request.user, **form.cleaned_data
            )
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            return redirect("training:snapshot", snapshot.pk)
    return _snapshots_page(request, project, form, status=422)


@login_required
@require_safe
def snapshot(request: AuthenticatedRequest, snapshot_id: int) -> HttpResponse:
    snapshot = access.get_snapshot_for(request.user, snapshot_id)
    stages = [stage for stage, content in SNAPSHOT_CONTENT.items() if content == snapshot.content]
    context = {
        "snapshot": snapshot,
        "stage": stages[0],
        "runs": snapshot.runs.select_related("checkpoint"),
        "annotation_count": len(snapshot.annotation_ids),
    }
    return _page(request, snapshot.project, "training/snapshot.html", context)


@login_required
@require_GET
def download(request: AuthenticatedRequest, snapshot_id: int) -> FileResponse:
    snapshot = access.get_snapshot_for(request.user, snapshot_id)
    path = artifacts.snapshot_rows(snapshot)
    if not path.is_file():
        raise Http404("The rows of this snapshot are missing in the artifact store.")
    name = f"snapshot-{snapshot.pk}-{snapshot.content}.jsonl"
    return FileResponse(
        path.open("rb"), as_attachment=True, filename=name, content_type="application/jsonl"
    )


# Runs --------------------------------------------------------------------------------------


@login_required
@require_safe
def runs(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    context = {"live": _runs_live(request, project), "stages": TRAINED_STAGES}
    return _page(request, project, "training/runs.html", context)


@login_required
@require_safe
def runs_status(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    return _fragment(request, _runs_live(request, project))


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
    context = {"run": run, "live": _run_live(request, run), "is_alive": run.state in ALIVE}
    return _page(request, run.project, "training/run.html", context)


@login_required
@require_safe
def run_status(request: AuthenticatedRequest, run_id: int) -> HttpResponse:
    run = access.get_run_for(request.user, run_id)
    return _fragment(request, _run_live(request, run))


@login_required
@require_POST
def cancel_run(request: AuthenticatedRequest, run_id: int) -> HttpResponse:
    run = access.get_run_for(request.user, run_id)
    _attempt(request, lambda: services.request_cancel(run, request.user))
    return redirect("training:run", run_id)


# Checkpoints -------------------------------------------------------------------------------


@login_required
@require_safe
def checkpoints(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    latest = {one.child_id: one for one in project.evaluations.order_by("id")}
    rows = [
        (row, latest.get(row.checkpoint.pk), _result(latest.get(row.checkpoint.pk)))
        for row in selectors.checkpoint_rows(project)
    ]
    promotions = project.promotions.select_related("checkpoint", "promoted_by")
    context = {"rows": rows, "promotions": promotions[:20]}
    return _page(request, project, "training/checkpoints.html", context)


@login_required
@require_safe
def checkpoint(request: AuthenticatedRequest, checkpoint_id: int) -> HttpResponse:
    checkpoint = access.get_checkpoint_for(request.user, checkpoint_id)
    return _checkpoint_page(request, checkpoint)


@login_required
@require_POST
def request_completions(request: AuthenticatedRequest, checkpoint_id: int) -> HttpResponse:
    checkpoint = access.get_checkpoint_for(request.user, checkpoint_id)
    form = CompletionsForm(request.POST)
    if form.is_valid():
        config = form.config()
        try:
            started = services.request_completions(
                checkpoint.project,
                checkpoint=checkpoint,
                prompts=_least_covered(checkpoint.project, form),
                completions_per_prompt=config["completions_per_prompt"],
                kind=form.cleaned_data["kind"],
                started_by=request.user,
                config=config,
            )
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            return redirect("training:run", started.pk)
    return _checkpoint_page(request, checkpoint, completions_form=form)


@login_required
@require_POST
def evaluate(request: AuthenticatedRequest, checkpoint_id: int) -> HttpResponse:
    checkpoint = access.get_checkpoint_for(request.user, checkpoint_id)
    promoted = selectors.promoted_checkpoint(checkpoint.project)
    form = EvaluationForm(checkpoint, promoted, request.POST)
    if form.is_valid():
        try:
            started = services.start_evaluation(
                checkpoint.project,
                child=checkpoint,
                parent=form.cleaned_data["rival"],
                split=form.cleaned_data["split"],
                limit=form.cleaned_data["limit"],
                started_by=request.user,
            )
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            return redirect("training:evaluation", started.pk)
    return _checkpoint_page(request, checkpoint, evaluation_form=form)


@login_required
@require_POST
def promote(request: AuthenticatedRequest, checkpoint_id: int) -> HttpResponse:
    checkpoint = access.get_checkpoint_for(request.user, checkpoint_id)
    form = PromotionForm(request.POST, may_override=_may_override(request.user, checkpoint))
    if form.is_valid():
        try:
            services.promote_checkpoint(
                checkpoint,
                promoted_by=request.user,
                reason=form.cleaned_data["reason"],
                evaluation=_deciding_evaluation(checkpoint),
                override=form.cleaned_data.get("override", False),
            )
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{checkpoint} answers this project's prompts from now on.")
            return redirect("training:checkpoint", checkpoint_id)
    return _checkpoint_page(request, checkpoint, promotion_form=form)


@login_required
@require_safe
def evaluation(request: AuthenticatedRequest, evaluation_id: int) -> HttpResponse:
    evaluation = access.get_evaluation_for(request.user, evaluation_id)
    context = {
        "evaluation": evaluation,
        "result": selectors.evaluation_result(evaluation),
        "votes": examples.votes(evaluation),
        "examples": examples.examples(evaluation),
    }
    return _page(request, evaluation.project, "training/evaluation.html", context)


# What several views share ------------------------------------------------------------------


def _page(
    request: AuthenticatedRequest,
    project: Project,
    template: str,
    context: dict[str, Any],
    status: int = 200,
) -> HttpResponse:
    membership = access.get_membership_for(request.user, project.pk)
    shared = {"project": project, "membership": membership}
    return render(request, template, shared | context, status=status)


def _live(
    request: HttpRequest, template: str, context: dict[str, Any], url: str, seconds: int
) -> Live:
    """Return the rendered fragment; an empty `url` means that nothing will change any more."""
    html = render_to_string(template, context, request)
    digest = hashlib.blake2b(f"{url} {html}".encode(), digest_size=12).hexdigest()
    return Live(html=html, digest=digest, url=url, seconds=seconds)


def _fragment(request: HttpRequest, live: Live) -> HttpResponse:
    if request.GET.get("seen") == live.digest:
        return HttpResponse(status=204)
    response = render(request, "training/_live.html", {"live": live})
    response["Cache-Control"] = "no-store"
    return response


def _attempt(request: HttpRequest, act: Callable[[], Any]) -> None:
    """Carry out an act that has no form; show its refusal on the next page."""
    try:
        act()
    except services.ServiceError as error:
        messages.error(request, str(error))


def _loop_live(request: AuthenticatedRequest, project: Project) -> Live:
    steps = selectors.loop_status(project, request.user)
    runs = [(step, _row(step.run) if step.run else None) for step in steps]
    url = reverse("training:loop_status", args=[project.pk])
    return _live(request, "training/_loop_steps.html", {"steps": runs}, url, LIST_SECONDS)


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
        "rows": [_row(run) for run in page],
        "waiting": project.runs.filter(state=Run.State.QUEUED).count(),
        "running": project.runs.filter(state=Run.State.RUNNING).count(),
    }
    url = reverse("training:runs_status", args=[project.pk])
    query = f"?stage={stage}&page={page.number}"
    return _live(request, "training/_runs.html", context, url + query, LIST_SECONDS)


def _run_live(request: HttpRequest, run: Run) -> Live:
    context = {
        **_row(run),
        "checkpoint": Checkpoint.objects.filter(run=run).first(),
        "evaluation": Evaluation.objects.filter(run=run).first(),
        "charts": _charts(run),
        "preset_from": reverse("training:new_run", args=[run.project_id]),
    }
    url = reverse("training:run_status", args=[run.pk]) if run.state in ALIVE else ""
    return _live(request, "training/_run_status.html", context, url, RUN_SECONDS)


def _row(run: Run) -> dict[str, Any]:
    """Return a run with its progress and its place in the queue."""
    return {"run": run, "progress": selectors.run_progress(run), "ahead": _ahead(run)}


def _ahead(run: Run) -> int:
    """Return how many runs, of any project, the same workers take before this one."""
    if run.state != Run.State.QUEUED:
        return 0
    queue = lifecycle.QUEUES[Stage(run.stage)]
    stages = [stage for stage, name in lifecycle.QUEUES.items() if name == queue]
    before = Q(state=Run.State.RUNNING) | Q(state=Run.State.QUEUED, id__lt=run.pk)
    return Run.objects.filter(before, stage__in=stages).count()


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


def _snapshots_page(
    request: AuthenticatedRequest, project: Project, form: FreezeForm, status: int = 200
) -> HttpResponse:
    found = project.snapshots.select_related("created_by").annotate(run_count=Count("runs"))
    found = found.order_by("-id")  # counting drops the order of the model
    context = {"snapshots": found, "form": form}
    return _page(request, project, "training/snapshots.html", context, status)


def _content_needed_next(project: Project) -> str:
    current = selectors.open_round(project)
    if current is None:
        return DatasetSnapshot.Content.DEMONSTRATIONS
    if current.reward_run is None:
        return DatasetSnapshot.Content.PREFERENCES
    return DatasetSnapshot.Content.PROMPTS


def _new_run_page(
    request: AuthenticatedRequest, project: Project, form: RunForm, status: int = 200
) -> HttpResponse:
    query = request.GET.copy()
    query.pop("preset", None)
    context = {
        "form": form,
        "stage": Stage(form.stage),
        "stages": TRAINED_STAGES,
        "presets": PRESETS[form.stage],
        "preset": request.GET.get("preset", ""),
        "query": query.urlencode(),
        "content": SNAPSHOT_CONTENT[form.stage],
    }
    return _page(request, project, "training/new_run.html", context, status)


def _run_defaults(request: AuthenticatedRequest, project: Project, stage: str) -> dict[str, Any]:
    """Return what the form starts with: an earlier run, a preset, or the newest there is."""
    policies = project.checkpoints.exclude(kind=Checkpoint.Kind.REWARD)
    rewards = project.checkpoints.filter(kind=Checkpoint.Kind.REWARD)
    parent = selectors.promoted_checkpoint(project) or policies.first()
    values: dict[str, Any] = {
        "parent": parent and parent.pk,
        "snapshot": project.snapshots.filter(content=SNAPSHOT_CONTENT[stage]).first(),
        "reward_checkpoint": rewards.first(),
    }
    earlier = request.GET.get("from", "")
    if earlier.isdigit() and (run := project.runs.filter(id=earlier, stage=stage).first()):
        values |= run.config | {
            "parent": run.parent_id,
            "snapshot": run.snapshot_id,
            "reward_checkpoint": run.reward_checkpoint_id,
        }
    preset = next((p for p in PRESETS[stage] if p.name == request.GET.get("preset")), None)
    chosen = {name: request.GET[name] for name in values if request.GET.get(name, "").isdigit()}
    return values | (preset.values if preset else {}) | chosen


def _checkpoint_page(
    request: AuthenticatedRequest,
    checkpoint: Checkpoint,
    *,
    completions_form: CompletionsForm | None = None,
    evaluation_form: EvaluationForm | None = None,
    promotion_form: PromotionForm | None = None,
) -> HttpResponse:
    evaluations = [(one, selectors.evaluation_result(one)) for one in _evaluations(checkpoint)]
    promoted = selectors.promoted_checkpoint(checkpoint.project)
    deciding = _deciding_evaluation(checkpoint)
    refused = completions_form or evaluation_form or promotion_form
    may_override = _may_override(request.user, checkpoint)
    context = {
        "checkpoint": checkpoint,
        "run": checkpoint.run,
        "lineage": selectors.lineage(checkpoint),
        "children": checkpoint.children.all(),
        "evaluations": evaluations,
        "gate": _result(deciding),
        "refusal": selectors.gate_refusal(checkpoint, deciding),
        "promotions": checkpoint.promotions.select_related("promoted_by"),
        "promoted": promoted,
        "is_promoted": promoted == checkpoint,
        "completions_form": completions_form or CompletionsForm(),
        "evaluation_form": evaluation_form or EvaluationForm(checkpoint, promoted),
        "promotion_form": promotion_form or PromotionForm(may_override=may_override),
    }
    status = 422 if refused else 200
    return _page(request, checkpoint.project, "training/checkpoint.html", context, status)


def _evaluations(checkpoint: Checkpoint) -> Any:
    return checkpoint.evaluations.select_related("parent", "run")


def _deciding_evaluation(checkpoint: Checkpoint) -> Evaluation | None:
    """Return the newest evaluation against the checkpoint in force, else the newest at all."""
    promoted = selectors.promoted_checkpoint(checkpoint.project)
    against = checkpoint.evaluations.filter(parent=promoted).first() if promoted else None
    return against or checkpoint.evaluations.first()


def _result(evaluation: Evaluation | None) -> selectors.WinRate | None:
    return selectors.evaluation_result(evaluation) if evaluation else None


def _least_covered(project: Project, form: CompletionsForm) -> list[int]:
    """Return the ids of the chosen number of prompts, those with the least work first."""
    judged = Q(items__purpose="training") & ~Q(items__kind="demonstration")
    prompts = project.prompts.filter(split__in=form.chosen_splits())
    ordered = prompts.annotate(work=Count("items", filter=judged)).order_by("work", "id")
    return list(ordered.values_list("id", flat=True)[: form.cleaned_data["prompt_count"]])


def _may_override(user: User, checkpoint: Checkpoint) -> bool:
    return access.get_membership_for(user, checkpoint.project_id).role == Role.OWNER
