"""The model card of a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.views.decorators.http import require_GET, require_safe

from training import access, selectors
from training.views.shared import show_page

if TYPE_CHECKING:
    from training.views.shared import AuthenticatedRequest


@login_required
@require_safe
def card(request: AuthenticatedRequest, checkpoint_id: int) -> HttpResponse:
    """Show the model card as the text that it is."""
    checkpoint = access.get_checkpoint_for(request.user, checkpoint_id)
    context = {"checkpoint": checkpoint, "text": selectors.model_card(checkpoint)}
    return show_page(request, checkpoint.project, "training/card.html", context)


@login_required
@require_GET
def download_card(request: AuthenticatedRequest, checkpoint_id: int) -> HttpResponse:
    checkpoint = access.get_checkpoint_for(request.user, checkpoint_id)
    text = selectors.model_card(checkpoint)
    response = HttpResponse(text, content_type="text/markdown; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="README.md"'
    return response
