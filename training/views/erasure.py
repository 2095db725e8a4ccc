"""The page on which a person has themselves forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from training import services

if TYPE_CHECKING:
    from training.views.shared import AuthenticatedRequest


@sensitive_post_parameters("password")
@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def erase_me(request: AuthenticatedRequest) -> HttpResponse:
    """Say what goes and what stays; do it for who knows the password."""
    problem, status = "", 200
    if request.method == "POST":
        try:
            services.erase_oneself(
                request.user,
                password=request.POST.get("password", ""),
                address=request.META["REMOTE_ADDR"],
            )
        except services.ServiceError as error:
            problem, status = str(error), 422
        else:
            logout(request)
            messages.success(request, _("Your account is erased. Nothing here carries your name."))
            return redirect("annotations:sign_in")
    return render(request, "training/erase_me.html", {"problem": problem}, status=status)
