"""Measuring a checkpoint beside its parent, and what came out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from training import access, selectors, services, suite_table
from training.forms.suites import SuiteForm
from training.models import Checkpoint, Stage
from training.views.shared import show_page

if TYPE_CHECKING:
    from training.views.shared import AuthenticatedRequest


@login_required
@require_safe
def suites(request: AuthenticatedRequest, checkpoint_id: int) -> HttpResponse:
    """Show the suites of a checkpoint, and the form that starts another."""
    checkpoint = access.get_checkpoint_for(request.user, checkpoint_id)
    return _suites_page(request, checkpoint, SuiteForm(checkpoint))


@login_required
@require_POST
def start(request: AuthenticatedRequest, checkpoint_id: int) -> HttpResponse:
    checkpoint = access.get_checkpoint_for(request.user, checkpoint_id)
    form = SuiteForm(checkpoint, request.POST)
    if form.is_valid():
        try:
            started = services.start_suite(
                checkpoint.project,
                child=checkpoint,
                parent=form.cleaned_data["rival"],
                reward_checkpoint=form.cleaned_data["reward_checkpoint"],
                split=form.cleaned_data["split"],
                limit=form.cleaned_data["limit"],
                config=form.config(),
                started_by=request.user,
            )
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            return redirect("training:run", started.pk)
    form.use_labels()
    return _suites_page(request, checkpoint, form, status=422)


@login_required
@require_safe
def suite(request: AuthenticatedRequest, run_id: int) -> HttpResponse:
    """Show what a suite measured."""
    run = access.get_run_for(request.user, run_id)
    if run.stage != Stage.SUITE:
        raise Http404("That run is no evaluation suite.")
    context = {
        "run": run,
        "child": run.parent,
        "parent": selectors.rival_of(run),
        "rows": suite_table.rows(run.results),
        "wins": run.results.get("win_rate"),
        "moved": run.results.get("kl_to_parent"),
        "cases": selectors.tried_cases(run),
        "examples": run.results.get("examples", []),
    }
    return show_page(request, run.project, "training/suite.html", context)


def _suites_page(
    request: AuthenticatedRequest, checkpoint: Checkpoint, form: SuiteForm, status: int = 200
) -> HttpResponse:
    if checkpoint.kind == Checkpoint.Kind.REWARD:
        raise Http404("A reward model writes no answers that could be measured.")
    context = {"checkpoint": checkpoint, "form": form, "suites": selectors.suites(checkpoint)[:50]}
    return show_page(request, checkpoint.project, "training/suites.html", context, status)
