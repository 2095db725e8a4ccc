"""One person in a project: how they work, what they were told, whether models learn from them."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotations import access, selectors, services
from annotations.agreement_charts import parts_chart, share_point
from annotations.forms.notes import NoteForm
from annotations.forms.qualification import DecisionForm
from annotations.models import Project, Role, User
from annotations.views.request import AuthenticatedRequest, SeeOther

DECISION_IDS = "decision_%s"


@login_required
@never_cache
@require_GET
def person(request: AuthenticatedRequest, project_id: int, user_id: int) -> HttpResponse:
    project, person = access.get_person_for(request.user, project_id, user_id)
    return _page(request, project, person, NoteForm())


@login_required
@require_POST
def write_note(request: AuthenticatedRequest, project_id: int, user_id: int) -> HttpResponse:
    """Tell a person something; only owners do."""
    access.get_project_for(request.user, project_id, Role.OWNER)
    project, person = access.get_person_for(request.user, project_id, user_id)
    form = NoteForm(request.POST)
    if not form.is_valid():
        return _page(request, project, person, form, status=422)
    services.write_note(project, person, form.cleaned_data["text"], request.user)
    messages.success(request, f"{person} sees it on their pages until they have read it.")
    return SeeOther(reverse("annotations:person", args=[project_id, user_id]))


@login_required
@require_POST
def read_note(request: AuthenticatedRequest, note_id: int) -> HttpResponse:
    note = access.get_note_for(request.user, note_id)
    services.read_note(note)
    return SeeOther(reverse("annotations:project", args=[note.project_id]))


@login_required
@require_POST
def hold_out(request: AuthenticatedRequest, project_id: int, user_id: int) -> HttpResponse:
    """Let models learn from a person's annotations no more, or again from new ones."""
    access.get_project_for(request.user, project_id, Role.OWNER)
    project, person = access.get_person_for(request.user, project_id, user_id)
    if "end" in request.POST:
        services.end_hold_out(project, person)
        messages.success(
            request,
            _(
                "Models may learn from what %(person)s annotates from now on; what came before "
                "stays held out."
            )
            % {"person": person},
        )
    else:
        services.hold_out(project, person, request.user)
        messages.success(
            request, _("No new snapshot has anything by %(person)s in it.") % {"person": person}
        )
    return SeeOther(reverse("annotations:person", args=[project_id, user_id]))


@login_required
@require_POST
def decide_kind(request: AuthenticatedRequest, project_id: int, user_id: int) -> HttpResponse:
    """Let a person do a kind of work or not, or leave it to the rules; only owners do."""
    access.get_project_for(request.user, project_id, Role.OWNER)
    project, person = access.get_person_for(request.user, project_id, user_id)
    form = DecisionForm(request.POST, auto_id=DECISION_IDS)
    if form.is_valid():
        try:
            services.decide_kind(project, person, decided_by=request.user, **form.cleaned_data)
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, _("Decided. It holds from the next item that is handed out."))
            return SeeOther(reverse("annotations:person", args=[project_id, user_id]))
    return _page(request, project, person, NoteForm(), decision_form=form, status=422)


def _page(
    request: AuthenticatedRequest,
    project: Project,
    person: User,
    form: NoteForm,
    *,
    decision_form: DecisionForm | None = None,
    status: int = 200,
) -> HttpResponse:
    membership = access.get_membership_for(request.user, project.pk)
    is_owner = membership.role == Role.OWNER
    report = selectors.person_report(project, person)
    gold = [share_point(week.start.date().isoformat(), week.share) for week in report.gold_weeks]
    context = {
        "project": project,
        "membership": membership,
        "person": person,
        "is_owner": is_owner,
        "is_own": person == request.user,
        "report": report,
        "gold_chart": parts_chart("Gold items answered as known, by week", gold)
        if any(week.share.n for week in report.gold_weeks)
        else "",
        # One's own share of gold items, seen after every answer, would say which items they are.
        "shows_gold": is_owner and person != request.user,
        "shows_peers": is_owner or project.shows_agreement,
        "notes": selectors.notes_to(person, project),
        "is_held_out": is_owner and selectors.is_held_out(person, project),
        "form": form,
        "kind_standings": selectors.kind_standings(person, project),
        "decision_form": decision_form or DecisionForm(auto_id=DECISION_IDS),
        "is_decided_by_others": is_owner
        and person == request.user
        and selectors.has_another_owner(project, person),
    }
    return render(request, "annotations/person.html", context, status=status)
