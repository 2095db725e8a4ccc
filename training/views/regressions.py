"""Trying checkpoints on the prompts of tickets, and a ticket's way into the models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from training import access, selectors, services
from training.views.shared import show_page

if TYPE_CHECKING:
    from training.views.shared import AuthenticatedRequest


@login_required
@require_POST
def start_regressions(request: AuthenticatedRequest, checkpoint_id: int) -> HttpResponse:
    checkpoint = access.get_checkpoint_for(request.user, checkpoint_id)
    try:
        started = services.start_regressions(checkpoint, started_by=request.user)
    except services.ServiceError as error:
        messages.error(request, str(error))
        return redirect("training:checkpoint", checkpoint_id)
    return redirect("training:run", started.pk)


@login_required
@require_safe
def ticket_way(request: AuthenticatedRequest, ticket_id: int) -> HttpResponse:
    ticket = access.get_ticket_for(request.user, ticket_id)
    context = {
        "ticket": ticket,
        "way": selectors.ticket_way(ticket),
        "promoted": selectors.promoted_checkpoint(ticket.project),
    }
    return show_page(request, ticket.project, "training/ticket_way.html", context)
