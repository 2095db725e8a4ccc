"""The page where people make, see and revoke the tokens of their programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from training import access, services
from training.forms.tokens import ApiTokenForm

if TYPE_CHECKING:
    from training.views.shared import AuthenticatedRequest


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def api_tokens(request: AuthenticatedRequest) -> HttpResponse:
    """Show one's tokens; make one, whose text is shown this once."""
    form = ApiTokenForm(request.user, request.POST or None)
    made, secret = None, ""
    if request.method == "POST" and form.is_valid():
        try:
            made, secret = services.create_api_token(request.user, **form.cleaned_data)
            form = ApiTokenForm(request.user)
        except services.ServiceError as error:
            form.add_error(None, str(error))
    context = {
        "form": form,
        "made": made,
        "secret": secret,
        "base_url": request.build_absolute_uri("/v1"),
        "tokens": access.get_api_tokens_for(request.user),
        "may_make": access.get_member_projects_for(request.user).exists(),
        "api_url": request.build_absolute_uri(reverse("api:page")),
    }
    status = 422 if form.is_bound else 200
    return render(request, "training/api_tokens.html", context, status=status)


@login_required
@require_POST
def revoke(request: AuthenticatedRequest, token_id: int) -> HttpResponse:
    token = access.get_api_token_for(request.user, token_id)
    services.revoke_api_token(token)
    messages.success(
        request,
        _("The token “%(name)s” is revoked. Programs that use it get 401.") % {"name": token.name},
    )
    return redirect("training:api_tokens")
