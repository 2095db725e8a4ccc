"""Signing in and out."""

from __future__ import annotations

from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import get_user_model, login, logout
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotations import services
from annotations.forms.accounts import SignInForm
from annotations.forms.people import KeysForm
from annotations.models import Membership, Role, User
from annotations.views.request import AuthenticatedRequest, SeeOther, is_from_script
from annotations.views.two_factor import wait_for_code


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    if is_from_script(request):
        # A page whose session ended was sent here; swapping this form into it would lose its text.
        return HttpResponse(_("You are signed out. Sign in again."), status=401)
    if request.user.is_authenticated:
        return redirect(_destination(request))
    if request.method == "POST":
        return _try_to_sign_in(request)
    return _sign_in_page(request, SignInForm(request))


def _try_to_sign_in(request: HttpRequest) -> HttpResponse:
    try:
        attempt = services.admit(request.POST.get("username", ""), request.META["REMOTE_ADDR"])
    except services.TooManyAttempts as refusal:
        return _sign_in_page(request, SignInForm(request), str(refusal), status=429)
    form = SignInForm(request, request.POST)
    if not form.is_valid():
        return _sign_in_page(request, form, status=422)
    services.succeed(attempt)
    user = form.get_user()
    if isinstance(user, User) and services.asks_for_code(user):
        return wait_for_code(request, user, _destination(request))
    login(request, user)
    return SeeOther(_destination(request))


def _sign_in_page(
    request: HttpRequest, form: SignInForm, refusal: str = "", *, status: int = 200
) -> HttpResponse:
    context = {
        "form": form,
        "refusal": refusal,
        "next": request.GET.get("next", request.POST.get("next", "")),
        "demo_people": _demo_people() if settings.DEMO else [],
    }
    response = render(request, "registration/sign_in.html", context, status=status)
    if refusal:
        response["Retry-After"] = str(services.RETRY_SECONDS)
    return response


@require_POST
def sign_in_as_demo_person(request: HttpRequest) -> HttpResponse:
    if not settings.DEMO:
        raise Http404
    usernames = {person.user.username for person in _demo_people()}
    if request.POST.get("username") not in usernames:
        raise Http404
    person = get_object_or_404(get_user_model(), username=request.POST["username"], is_active=True)
    login(request, person)
    return SeeOther(_destination(request))


@never_cache
@require_safe
def sign_in_to_admin(request: HttpRequest) -> HttpResponse:
    """Lead the operator to the one place where anybody signs in; for others there is no admin."""
    if request.user.is_authenticated:
        raise Http404("The admin site is the operator's.")
    wanted = request.GET.get("next") or reverse("admin:index")
    return redirect(f"{reverse('annotations:sign_in')}?{urlencode({'next': wanted})}")


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return SeeOther(reverse("annotations:sign_in"))


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def account(request: AuthenticatedRequest) -> HttpResponse:
    """Show and change the keys of the one who is signed in."""
    if "reset" in request.POST:
        services.reset_keys(request.user)
        messages.success(request, _("Your keys are those of the page again."))
        return SeeOther(reverse("annotations:account"))
    form = KeysForm(request.POST or None, user=request.user)
    if form.is_valid():
        services.change_keys(
            request.user, form.bindings(), sends_on_choice=form.cleaned_data["sends_on_choice"]
        )
        messages.success(request, _("Your keys are saved. They hold from the next page on."))
        return SeeOther(reverse("annotations:account"))
    status = 422 if form.is_bound else 200
    return render(request, "annotations/account.html", {"form": form}, status=status)


def _demo_people() -> list[Membership]:
    """Return one membership of everybody who can sign in, in the order of their roles."""
    memberships = Membership.objects.filter(user__is_active=True).select_related("user", "project")
    people = {membership.user_id: membership for membership in memberships.order_by("-id")}
    return sorted(
        people.values(), key=lambda person: (list(Role).index(Role(person.role)), person.id)
    )


def _destination(request: HttpRequest) -> str:
    """Return the page that was asked for before signing in, if it is one of ours."""
    wanted = request.POST.get("next", request.GET.get("next", ""))
    if url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return wanted
    return reverse("annotations:home")
