"""Signing in and out."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import get_user_model, login, logout
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from annotations import services
from annotations.forms.people import KeysForm
from annotations.models import Membership, Role
from annotations.views.request import AuthenticatedRequest, SeeOther, is_from_script


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    if is_from_script(request):
        # A page whose session ended was sent here; swapping this form into it would lose its text.
        return HttpResponse("You are signed out. Sign in again.", status=401)
    if request.user.is_authenticated:
        return redirect(_destination(request))
    form = AuthenticationForm(request, request.POST if request.method == "POST" else None)
    if form.is_valid():
        login(request, form.get_user())
        return SeeOther(_destination(request))
    context = {
        "form": form,
        "next": request.GET.get("next", request.POST.get("next", "")),
        "demo_people": _demo_people() if settings.DEMO else [],
    }
    status = 422 if request.method == "POST" else 200
    return render(request, "registration/sign_in.html", context, status=status)


@require_POST
def sign_in_as_demo_person(request: HttpRequest) -> HttpResponse:
    if not settings.DEMO:
        raise Http404
    usernames = {person.user.username for person in _demo_people()}
    if request.POST.get("username") not in usernames:
        raise Http404
    person = get_object_or_404(get_user_model(), username=request.POST["username"], is_active=True)
    login(request, person, backend="django.contrib.auth.backends.ModelBackend")
    return SeeOther(_destination(request))


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
        messages.success(request, "Your keys are those of the page again.")
        return SeeOther(reverse("annotations:account"))
    form = KeysForm(request.POST or None, user=request.user)
    if form.is_valid():
        services.change_keys(
            request.user, form.bindings(), sends_on_choice=form.cleaned_data["sends_on_choice"]
        )
        messages.success(request, "Your keys are saved. They hold from the next page on.")
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
