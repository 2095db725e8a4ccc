"""Codes beside a password: the page on which they are set up, and the one that asks for one."""

from __future__ import annotations

import time
from typing import Any

import segno
from django.contrib import messages
from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import PasswordChangeForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from annotations import services
from annotations.forms.accounts import CodeForm, PasswordForm
from annotations.models import User
from annotations.views.request import AuthenticatedRequest, SeeOther

WAITING = "waits_for_code"
"""Where a session keeps who has shown their password and not their code."""
WAITS_SECONDS = 600
TOKENS_STAY = gettext_lazy("Tokens still let programs in as you. Revoke those that you don't know.")


def wait_for_code(request: HttpRequest, user: User, destination: str) -> HttpResponse:
    """Keep that somebody knows their password, and ask for their code."""
    request.session.cycle_key()
    request.session[WAITING] = {
        "user": user.pk,
        "password": user.get_session_auth_hash(),
        "until": time.time() + WAITS_SECONDS,
        "destination": destination,
    }
    return SeeOther(reverse("annotations:sign_in_code"))


@sensitive_post_parameters("code")
@never_cache
@require_http_methods(["GET", "POST"])
def sign_in_code(request: HttpRequest) -> HttpResponse:
    """Let in who has shown their password before, and shows a code now."""
    user = _who_waits(request)
    if user is None:
        if request.method == "POST":
            messages.info(request, _("That took too long. Begin again with your password."))
        return redirect("annotations:sign_in")
    form = CodeForm(request.POST or None)
    if form.is_valid():
        try:
            services.check_code(user, form.cleaned_data["code"], request.META["REMOTE_ADDR"])
        except services.ServiceError as error:
            form.add_error("code", str(error))
        else:
            destination = request.session.pop(WAITING)["destination"]
            login(request, user)
            return SeeOther(destination)
    status = 422 if form.is_bound else 200
    return render(request, "registration/sign_in_code.html", {"form": form}, status=status)


@sensitive_post_parameters("password", "code")
@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def two_factor(request: AuthenticatedRequest) -> HttpResponse:
    """Show whether codes are on; turn them on and off."""
    problem, codes = "", []
    if request.method == "POST":
        try:
            codes = _change(request)
        except services.ServiceError as error:
            problem = str(error)
        else:
            if not codes:
                return SeeOther(reverse("annotations:two_factor"))
    secret = services.secret_of(request.user)
    context: dict[str, Any] = {
        "problem": problem,
        "codes": codes,
        "is_on": services.asks_for_code(request.user),
        "left": request.user.recovery_codes.count(),
        "secret": " ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        "picture": _picture(services.address_for_app(request.user, secret)) if secret else "",
        "code_form": CodeForm(),
        "password_form": PasswordForm(is_tried_again=bool(problem)),
    }
    status = 422 if problem else 200
    return render(request, "annotations/two_factor.html", context, status=status)


def _change(request: AuthenticatedRequest) -> list[str]:
    """Carry out one act. Return the recovery codes that it made, to be shown this once."""
    if "confirm" in request.POST:
        return services.confirm_two_factor(request.user, request.POST.get("code", "")[:40])
    services.check_it_is(
        request.user, request.POST.get("password", ""), request.META["REMOTE_ADDR"]
    )
    if "codes" in request.POST and services.asks_for_code(request.user):
        return services.new_recovery_codes(request.user)
    if "off" in request.POST:
        services.end_two_factor(request.user)
        messages.success(request, _("Your password alone lets you in again."))
    if "begin" in request.POST:
        services.begin_two_factor(request.user)
    return []


@sensitive_post_parameters("old_password", "new_password1", "new_password2")
@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def password(request: AuthenticatedRequest) -> HttpResponse:
    """Change one's password, which ends every other session."""
    form = PasswordChangeForm(request.user, request.POST or None)
    if request.method == "POST":
        try:
            attempt = services.admit(request.user.username, request.META["REMOTE_ADDR"])
        except services.TooManyAttempts as refusal:
            form = PasswordChangeForm(request.user)
            context = {"form": form, "problem": str(refusal)}
            return render(request, "annotations/password.html", context, status=429)
        if "old_password" not in form.errors:  # a new one that is refused is no guess
            services.succeed(attempt)
        if form.is_valid():
            form.save()
            update_session_auth_hash(request, request.user)
            messages.success(request, _("Your password is changed. You are signed out elsewhere."))
            if services.has_api_tokens(request.user):
                messages.warning(request, str(TOKENS_STAY))
            return SeeOther(reverse("annotations:account"))
    status = 422 if form.is_bound else 200
    return render(request, "annotations/password.html", {"form": form}, status=status)


def _who_waits(request: HttpRequest) -> User | None:
    """Return who showed their password here, not long ago, and has the same one still."""
    waiting = request.session.get(WAITING)
    if not waiting or waiting["until"] < time.time():
        return None
    user = User.objects.filter(id=waiting["user"], is_active=True).first()
    if user and constant_time_compare(user.get_session_auth_hash(), waiting["password"]):
        return user
    return None


def _picture(address: str) -> str:
    """Return the picture for a phone's camera, as an address: it never leaves this site."""
    return segno.make(address, error="m").svg_data_uri(scale=5, border=3, light="#fff")
