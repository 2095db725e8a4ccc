"""Home, and a project with its settings and members."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations import access, selectors, services
from annotations.forms import (
    MemberForm,
    MembershipChangeForm,
    ProjectForm,
    ProjectSettingsForm,
)
from annotations.models import (
    EVALUATION,
    GUIDELINE_PARTS,
    Kind,
    Membership,
    Project,
    Role,
    User,
)
from annotations.views.queue import work_cards
from annotations.views.request import AuthenticatedRequest, SeeOther

REMOVED = "removed_member"
"""Where a session keeps who was just removed, to be shown with a way back."""


@login_required
@require_GET
def home(request: AuthenticatedRequest) -> HttpResponse:
    cards = [
        {
            "card": card,
            "work": work_cards(card.progress.waiting),
        }
        for card in selectors.home_cards(request.user)
    ]
    context = {"cards": cards, "may_create": access.may_create_projects(request.user)}
    return render(request, "annotations/home.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def create_project(request: AuthenticatedRequest) -> HttpResponse:
    if not access.may_create_projects(request.user):
        raise Http404("Projects are begun by owners and the operator.")
    form = ProjectForm(request.POST or None)
    if form.is_valid():
        try:
            project = services.create_project(created_by=request.user, **form.cleaned_data)
        except services.ServiceError as error:
            form.add_error("name", str(error))
        else:
            messages.success(request, "The project is there. Write its guidelines first.")
            return SeeOther(reverse("annotations:guidelines", args=[project.pk]))
    status = 422 if form.is_bound else 200
    return render(request, "annotations/create_project.html", {"form": form}, status=status)


@login_required
@require_GET
def project(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id)
    progress = selectors.progress_for(request.user, project)
    counted = selectors.work_counted(project)
    membership = access.get_membership_for(request.user, project_id)
    is_owner = membership.role == Role.OWNER
    closed = selectors.closed_kinds(request.user, project)
    context = {
        "project": project,
        "membership": membership,
        "progress": progress,
        "work": work_cards(progress.waiting),
        "begun": selectors.begun_corrections(request.user, project),
        "closed_kinds": closed,
        "closed": [one.kind for one in closed],
        "to_judge": selectors.tests_to_judge(project, request.user).count() if is_owner else 0,
        "unread_notes": selectors.unread_notes(request.user, project),
        "kinds": _kinds(project, counted),
        "counted": counted,
    }
    return render(request, "annotations/project.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def settings(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id, Role.OWNER)
    initial = {name: getattr(project, name) for name in ProjectSettingsForm.base_fields}
    form = ProjectSettingsForm(request.POST or None, initial=initial)
    if form.is_valid():
        try:
            services.update_project(project, **form.cleaned_data)
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "Settings saved.")
            return SeeOther(reverse("annotations:settings", args=[project_id]))
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project_id),
        "form": form,
    }
    status = 422 if form.is_bound else 200
    return render(request, "annotations/settings.html", context, status=status)


@login_required
@require_http_methods(["GET", "POST"])
def members(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    project = access.get_project_for(request.user, project_id, Role.OWNER)
    form = MemberForm(request.POST or None)
    if form.is_valid():
        user = User.objects.filter(username=form.cleaned_data["username"], is_active=True).first()
        if user is None:
            form.add_error("username", "Nobody here has this name. Ask for it to be created first.")
        else:
            try:
                member = services.add_member(
                    project, user, form.cleaned_data["role"], made_by=request.user
                )
                if "paused" in request.POST:  # the removal of somebody paused is undone
                    services.pause_member(member, made_by=request.user)
            except services.ServiceError as error:
                form.add_error("username", str(error))
            else:
                role = Role(form.cleaned_data["role"])
                messages.success(request, f"{user} is a member now, as {_with_article(role)}.")
                return SeeOther(reverse("annotations:members", args=[project.id]))
    return _members_page(request, project, form, status=422 if form.is_bound else 200)


@login_required
@require_POST
def change_membership(
    request: AuthenticatedRequest, project_id: int, membership_id: int
) -> HttpResponse:
    membership = access.get_member_for(request.user, membership_id, Role.OWNER)
    project = membership.project
    if project.id != project_id:
        raise Http404
    form = MembershipChangeForm(request.POST)
    if not form.is_valid():
        return _members_page(
            request, project, MemberForm(), problem="That change is not possible.", status=422
        )
    try:
        _change(request, membership, form.cleaned_data["action"], form.cleaned_data["role"])
    except services.ServiceError as error:
        return _members_page(request, project, MemberForm(), problem=str(error), status=409)
    return SeeOther(reverse("annotations:members", args=[project.id]))


def _change(request: AuthenticatedRequest, membership: Membership, action: str, role: str) -> None:
    """Carry out one act on a member and say what came of it."""
    user = membership.user
    match action:
        case "role":
            services.set_role(membership, Role(role), made_by=request.user)
            messages.success(request, f"Saved: {user} is {_with_article(Role(role))} now.")
        case "pause":
            services.pause_member(membership, made_by=request.user)
            messages.success(request, f"Saved: {user} is paused and gets no work until resumed.")
        case "resume":
            services.resume_member(membership, made_by=request.user)
            messages.success(request, f"Saved: {user} can work again.")
        case "remove":
            services.remove_member(membership, made_by=request.user)
            removed = {"project": membership.project_id, "username": user.username}
            request.session[REMOVED] = removed | {
                "name": str(user),
                "role": membership.role,
                "was_paused": membership.state == Membership.State.PAUSED,
            }


def _with_article(role: Role) -> str:
    article = "an" if role in (Role.OWNER, Role.ENGINEER) else "a"
    return f"{article} {role.label.lower()}"


def _members_page(
    request: AuthenticatedRequest,
    project: Project,
    form: MemberForm,
    *,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    removed = request.session.pop(REMOVED, None)
    group = selectors.group_named(project, request.GET.get("group", ""))
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project.id),
        "removed": removed if removed and removed["project"] == project.id else None,
        "people": selectors.members_of(project, group),
        "group": group,
        "groups": list(project.groups.all()),
        "held_out": selectors.held_out_people(project),
        "roles": Role.choices,
        "form": form,
        "problem": problem,
    }
    return render(request, "annotations/members.html", context, status=status)


def _kinds(project: Project, counted: selectors.Counted | None) -> list[dict[str, object]]:
    """Return the kinds of work that have items or guidelines, with those in force.

    At the end are those for evaluations, where these are in use.
    """
    if counted is None:
        there = set(selectors.kinds_with_open_items(project))
    else:
        there = {kind for kind, count in counted.counts.items() if count.items}
    guidelines = selectors.guidelines_in_force(project)
    kinds: list[dict[str, object]] = [
        {"kind": kind.value, "label": kind.label, "guideline": guidelines.get(kind.value)}
        for kind in Kind
        if kind in guidelines or kind in there
    ]
    own = guidelines.get(EVALUATION)
    if own is not None and not own.is_taken_back:
        label = dict(GUIDELINE_PARTS)[EVALUATION]
        kinds.append({"kind": EVALUATION, "label": label, "guideline": own})
    return kinds
