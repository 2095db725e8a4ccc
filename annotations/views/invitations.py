"""Inviting people by a link, and following one; pausing and leaving by oneself."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from annotations import access, selectors, services
from annotations.forms.invitations import InvitationForm, SignUpForm
from annotations.models import Invitation, Role, User
from annotations.views.request import AuthenticatedRequest, SeeOther


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def invitations(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Show the links into a project; make one, and show it this once."""
    project = access.get_project_for(request.user, project_id, Role.OWNER)
    form = InvitationForm(request.POST or None)
    link = ""
    if form.is_valid():
        _, secret = services.invite(project, made_by=request.user, **form.cleaned_data)
        link = request.build_absolute_uri(reverse("annotations:invitation", args=[secret]))
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project_id),
        "invitations": project.invitations.select_related("made_by"),
        "form": form if form.errors else InvitationForm(),
        "link": link,
    }
    status = 422 if form.errors else 200
    return render(request, "annotations/invitations.html", context, status=status)


@login_required
@require_POST
def revoke(request: AuthenticatedRequest, project_id: int, invitation_id: int) -> HttpResponse:
    invitation = access.get_invitation_for(request.user, project_id, invitation_id)
    services.revoke_invitation(invitation)
    messages.success(request, _("The link lets nobody in any more."))
    return SeeOther(reverse("annotations:invitations", args=[project_id]))


@sensitive_post_parameters("password1", "password2")
@never_cache
@require_http_methods(["GET", "POST"])
def invitation(request: HttpRequest, secret: str) -> HttpResponse:
    """Let somebody in by a link: with the account that they have, or with a new one."""
    invitation = access.get_invitation_by(secret)
    if isinstance(request.user, User):
        return _accept(request, invitation, request.user, secret)
    form = SignUpForm(request.POST or None)
    if form.is_valid():
        try:
            user = services.sign_up(invitation, **form.account())
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            login(request, user)
            return _go_in(request, invitation)
    return _page(request, invitation, secret, form)


@login_required
@require_POST
def rest(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Pause by oneself, or come back."""
    membership = access.get_own_membership(request.user, project_id)
    try:
        if "back" in request.POST:
            services.come_back(membership)
            messages.success(
                request,
                _("Welcome back to %(project)s.") % {"project": membership.project},
            )
        else:
            services.rest(membership)
            messages.success(
                request,
                _(
                    "You are pausing %(project)s. What you had begun is kept, and the "
                    "items you held went to others."
                )
                % {"project": membership.project},
            )
    except services.ServiceError as error:
        messages.error(request, str(error))
    return SeeOther(reverse("annotations:home"))


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def leave(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Ask whether somebody wants to leave, which only an owner can undo; and let them."""
    membership = access.get_own_membership(request.user, project_id)
    problem = ""
    if request.method == "POST":
        try:
            services.leave(membership)
        except services.ServiceError as error:
            problem = str(error)
        else:
            messages.success(
                request,
                _("You have left %(project)s.") % {"project": membership.project},
            )
            return SeeOther(reverse("annotations:home"))
    context = {
        "project": membership.project,
        "open_work": selectors.open_work(request.user, membership.project).count(),
        "problem": problem,
    }
    return render(request, "annotations/leave.html", context, status=409 if problem else 200)


def _accept(request: HttpRequest, invitation: Invitation, user: User, secret: str) -> HttpResponse:
    if request.method != "POST":
        return _page(request, invitation, secret, None)
    try:
        services.accept_invitation(invitation, user)
    except services.ServiceError as error:
        return _page(request, invitation, secret, None, problem=str(error))
    return _go_in(request, invitation)


def _go_in(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    messages.success(
        request,
        _("You are a member of %(project)s.") % {"project": invitation.project},
    )
    return SeeOther(reverse("annotations:home"))


def _page(
    request: HttpRequest,
    invitation: Invitation,
    secret: str,
    form: SignUpForm | None,
    *,
    problem: str = "",
) -> HttpResponse:
    over = invitation.state != "open"
    context = {
        "invitation": invitation,
        "secret": secret,
        "form": form,
        "problem": services.OVER if over else problem,
        "is_over": over,
    }
    status = 410 if over else 409 if problem else 422 if form and form.errors else 200
    return render(request, "annotations/invitation.html", context, status=status)
