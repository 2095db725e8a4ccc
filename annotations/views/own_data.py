"""What is stored about the one who asks, as a page and as a file."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from annotations import selectors
from annotations.views.request import AuthenticatedRequest


@login_required
@never_cache
@require_GET
def own_data(request: AuthenticatedRequest) -> HttpResponse:
    """Show what there is, in numbers."""
    context = {
        "account": selectors.account_of(request.user),
        "parts": selectors.stored_about(request.user),
    }
    return render(request, "annotations/own_data.html", context)


@login_required
@never_cache
@require_GET
def own_data_file(request: AuthenticatedRequest) -> StreamingHttpResponse:
    """Send all of it as JSON."""
    response = StreamingHttpResponse(
        selectors.own_data_as_json(request.user), content_type="application/json"
    )
    response["Content-Disposition"] = f'attachment; filename="my-data-{request.user.pk}.json"'
    return response
