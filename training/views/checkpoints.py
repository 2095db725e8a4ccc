"""Checkpoints: what they are, what they answer, how they compare, which one is in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from annotations.models import Role
from training import access, artifacts, examples, fetches, selectors, services, suite_table
from training.forms import (
    BaseForm,
    CompletionsForm,
    EvaluationForm,
    ExportForm,
    HubForm,
    PromotionForm,
)
from training.models import Checkpoint, Stage
from training.views.shared import RUN_SECONDS, Live, answer_fragment, render_live, show_page

if TYPE_CHECKING:
    from annotations.models import Project, User
    from training.views.shared import AuthenticatedRequest


@login_required
@require_safe
def checkpoints(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    return _checkpoints_page(request, project, BaseForm())


@login_required
@require_POST
def add_base(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    form = BaseForm(request.POST)
    if form.is_valid():
        try:
            added = services.register_base(
                project,
                form.cleaned_data["path"],
                form.cleaned_data["name"],
                created_by=request.user,
            )
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            return redirect("training:checkpoint", added.pk)
    return _checkpoints_page(request, project, form, status=422)


@login_required
@require_POST
def fetch_base(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    form = HubForm(request.POST)
    if form.is_valid():
        try:
            services.fetch_base(project, **form.cleaned_data, created_by=request.user)
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            return redirect(reverse("training:checkpoints", args=[project_id]) + "#hub")
    return _checkpoints_page(request, project, BaseForm(), hub_form=form, status=422)


@login_required
@require_POST
def stop_fetch(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    services.stop_fetch(project, request.POST.get("folder", ""))
    return redirect(reverse("training:checkpoints", args=[project_id]) + "#hub")


@login_required
@require_safe
def fetches_status(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    return answer_fragment(request, _fetches_live(request, project))


def _fetches_live(request: AuthenticatedRequest, project: Project) -> Live:
    found = fetches.fetches_of(project.pk)
    is_alive = any(not state.error for _, state in found)
    url = reverse("training:fetches_status", args=[project.pk]) if is_alive else ""
    here = project.checkpoints.filter(kind=Checkpoint.Kind.BASE, manifest__has_key="hub")
    context = {"project": project, "fetches": found, "fetched": here}
    return render_live(request, "training/_fetches.html", context, url, RUN_SECONDS)


def _checkpoints_page(
    request: AuthenticatedRequest,
    project: Project,
    form: BaseForm,
    *,
    hub_form: HubForm | None = None,
    status: int = 200,
) -> HttpResponse:
    latest = {one.child_id: one for one in project.evaluations.select_related("run").order_by("id")}
    results = selectors.evaluation_results(latest.values())
    rows = [
        (row, found, results[found.pk] if found else None)
        for row in selectors.checkpoint_rows(project)
        for found in [latest.get(row.checkpoint.pk)]
    ]
    promotions = project.promotions.select_related("checkpoint", "promoted_by")
    context = {
        "rows": rows,
        "promotions": promotions[:50],
        "fallback": selectors.promotion_before(project),
        "round": selectors.open_round(project),
        "base_form": form,
        "hub_form": hub_form or HubForm(),
        "has_hub": settings.HAS_MODEL_HUB,
        "no_hub": services.NO_HUB,
        "live": _fetches_live(request, project),
        "marked": selectors.reach(project),
        "base_folders": artifacts.base_folders(),
        "models_folder": settings.BASE_MODEL_PATH.parent,
    }
    return show_page(request, project, "training/checkpoints.html", context, status)


@login_required
@require_safe
def checkpoint(request: AuthenticatedRequest, checkpoint_id: int) -> HttpResponse:
    checkpoint = access.get_checkpoint_for(request.user, checkpoint_id)
    return _checkpoint_page(request, checkpoint)


@login_required
@require_POST
def request_completions(request: AuthenticatedRequest, checkpoint_id: int) -> HttpResponse:
    checkpoint = access.get_checkpoint_for(request.user, checkpoint_id)
    form = CompletionsForm(request.POST, project=checkpoint.project)
    if form.is_valid():
        config = form.config()
        try:
            started = services.request_completions(
                checkpoint.project,
                checkpoint=checkpoint,
                prompts=selectors.least_covered(
                    checkpoint.project, form.chosen_splits(), form.cleaned_data["prompt_count"]
                ),
                completions_per_prompt=config["completions_per_prompt"],
                kind=form.cleaned_data["kind"],
                started_by=request.user,
                config=config,
                reward_checkpoint=form.cleaned_data["reward_checkpoint"],
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
                evaluation=selectors.deciding_evaluation(checkpoint),
                override=form.cleaned_data.get("override", False),
            )
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{checkpoint} answers this project's prompts from now on.")
            return redirect("training:checkpoint", checkpoint_id)
    return _checkpoint_page(request, checkpoint, promotion_form=form)


@login_required
@require_POST
def export(request: AuthenticatedRequest, checkpoint_id: int) -> HttpResponse:
    checkpoint = access.get_checkpoint_for(request.user, checkpoint_id)
    form = ExportForm(request.POST)
    if form.is_valid():
        try:
            started = services.request_export(
                checkpoint,
                half_precision=form.cleaned_data["half_precision"],
                started_by=request.user,
            )
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            return redirect("training:run", started.pk)
    return _checkpoint_page(request, checkpoint, export_form=form)


@login_required
@require_safe
def evaluation(request: AuthenticatedRequest, evaluation_id: int) -> HttpResponse:
    evaluation = access.get_evaluation_for(request.user, evaluation_id)
    conditions = selectors.gate_conditions(evaluation)
    context = {
        "evaluation": evaluation,
        "marked": selectors.reach(evaluation.project),
        "result": selectors.evaluation_result(evaluation),
        "so_far": selectors.result_so_far(evaluation),
        "certain": selectors.certain(evaluation),
        "conditions": conditions,
        "is_open": all(one.is_met for one in conditions),
        "needs_nobody": selectors.needs_nobody(evaluation),
        "votes": examples.votes(evaluation),
        "examples": examples.examples(evaluation),
    }
    return show_page(request, evaluation.project, "training/evaluation.html", context)


def _checkpoint_page(
    request: AuthenticatedRequest,
    checkpoint: Checkpoint,
    *,
    completions_form: CompletionsForm | None = None,
    evaluation_form: EvaluationForm | None = None,
    promotion_form: PromotionForm | None = None,
    export_form: ExportForm | None = None,
) -> HttpResponse:
    evaluations = [(one, selectors.evaluation_result(one)) for one in _evaluations(checkpoint)]
    promoted = selectors.promoted_checkpoint(checkpoint.project)
    deciding = selectors.deciding_evaluation(checkpoint)
    if completions_form is not None:
        completions_form.use_labels()
    refused = completions_form or evaluation_form or promotion_form or export_form
    may_override = _may_override(request.user, checkpoint)
    suite = selectors.latest_suite(checkpoint)
    clean_line = selectors.clean_line(checkpoint)
    context = {
        "checkpoint": checkpoint,
        "suite": suite,
        "suite_rows": suite_table.rows(suite.results) if suite else [],
        "suite_parent": selectors.rival_of(suite) if suite else None,
        "rebuilds": selectors.rebuilds_of(checkpoint),
        "rebuilt": selectors.rebuild_that_made(checkpoint),
        "marked": selectors.reach(checkpoint.project),
        "clean_line": clean_line,
        "clean_is_ready": any(one.state == selectors.CleanState.READY for one in clean_line),
        "run": checkpoint.run,
        "lineage": selectors.lineage(checkpoint),
        "children": checkpoint.children.all(),
        "sources": selectors.sources(checkpoint),
        "evaluations": evaluations,
        "gate": selectors.gate_result(deciding) if deciding else None,
        "refusal": selectors.gate_refusal(checkpoint, deciding),
        "conditions": selectors.gate_conditions(deciding) if deciding and promoted else [],
        "regressions": selectors.checked_cases(checkpoint),
        "praise": selectors.praise_count(checkpoint),
        "reported": selectors.report_count(checkpoint),
        "promotions": checkpoint.promotions.select_related("promoted_by"),
        "promoted": promoted,
        "is_promoted": promoted == checkpoint,
        "round": selectors.open_round(checkpoint.project),
        "completions_form": completions_form or CompletionsForm(project=checkpoint.project),
        "evaluation_form": evaluation_form or EvaluationForm(checkpoint, promoted),
        "exports": checkpoint.runs_from.filter(stage=Stage.EXPORT)[:5],
        "export_form": export_form or ExportForm(),
        "promotion_form": promotion_form or PromotionForm(may_override=may_override),
    }
    status = 422 if refused else 200
    return show_page(request, checkpoint.project, "training/checkpoint.html", context, status)


def _evaluations(checkpoint: Checkpoint) -> Any:
    return checkpoint.evaluations.select_related("parent", "run")


def _may_override(user: User, checkpoint: Checkpoint) -> bool:
    return access.get_membership_for(user, checkpoint.project_id).role == Role.OWNER
