"""What happened: to one's own work, to an item; and new guidelines before work goes on."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations import access, selectors, services
from annotations.algorithms.diff import changed_lines, word_diff
from annotations.forms import StartForm
from annotations.forms.lifecycle import AcknowledgeForm, AnswersForm, GoldForm
from annotations.models import Kind, Role
from annotations.views.request import AuthenticatedRequest, SeeOther

PAGE_SIZE = 50


@login_required
@require_GET
@never_cache
def history(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Show one's own work in a project, newest first."""
    membership = access.get_membership_for(request.user, project_id)
    form = StartForm(request.GET)
    kind = form.cleaned_data["kind"] if form.is_valid() else ""
    own = selectors.own_history(request.user, membership.project, kind)
    context = {
        "project": membership.project,
        "membership": membership,
        "statistics": selectors.own_statistics(request.user, membership.project),
        "previous": selectors.previous_of(request.user, membership.project),
        "open_work": selectors.open_work(request.user, membership.project),
        "begun": selectors.begun_corrections(request.user, membership.project),
        "page": Paginator(own, PAGE_SIZE).get_page(request.GET.get("page")),
        "kind": kind,
        "kinds": Kind.choices,
    }
    return render(request, "annotations/history.html", context)


@login_required
@require_GET
@never_cache
def answers(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Show what people said in a project, newest first."""
    project = access.get_project_for(request.user, project_id, Role.OWNER)
    form = AnswersForm(request.GET, project=project)
    said = access.get_annotations_for(request.user, project_id)
    found = selectors.newest_in_force(said, PAGE_SIZE + 1, **form.cleaned_data)
    shown = found[:PAGE_SIZE]
    context = {
        "project": project,
        "membership": access.get_membership_for(request.user, project_id),
        "form": form,
        "is_chosen": any(form.cleaned_data.values()),
        "answers": [(one, selectors.in_short(one)) for one in shown],
        "older_than": shown[-1].pk if len(found) > PAGE_SIZE else None,
    }
    return render(request, "annotations/answers.html", context)


@login_required
@require_GET
@never_cache
def assignment_history(request: AuthenticatedRequest, assignment_id: int) -> HttpResponse:
    """Show everything that happened to one's own assignment."""
    assignment = access.get_assignment_for(request.user, assignment_id)
    context = {
        "item": assignment.item,
        "project": assignment.item.project,
        "membership": access.get_membership_for(request.user, assignment.item.project_id),
        "assignments": [assignment],
        "records": selectors.records_of(selectors.annotations_of(assignment)),
        "own": assignment,
    }
    return render(request, "annotations/item.html", context)


@login_required
@require_GET
@never_cache
def item(request: AuthenticatedRequest, item_id: int) -> HttpResponse:
    """Show everything that happened to an item; not while one's own answer is still to come."""
    item = access.get_item_for(request.user, item_id, Role.OWNER, Role.REVIEWER)
    seen = selectors.item_history(request.user, item)
    membership = access.get_membership_for(request.user, item.project_id)
    context = {
        "item": item,
        "project": item.project,
        "membership": membership,
        "assignments": seen.assignments,
        "records": seen.records,
        "is_hidden": seen.is_hidden,
        "is_blind": seen.is_blind,
        "makes_gold": membership.role == Role.OWNER and item.kind in services.GOLD_KINDS,
    }
    return render(request, "annotations/item.html", context)


@login_required
@require_POST
def make_gold(request: AuthenticatedRequest, item_id: int) -> HttpResponse:
    item = access.get_item_for(request.user, item_id, Role.OWNER)
    form = GoldForm(request.POST)
    annotation = (
        form.is_valid() and item.annotations.filter(id=form.cleaned_data["annotation"]).first()
    )
    if not annotation:
        raise Http404("There is no such annotation of this item.")
    try:
        gold = services.make_gold(annotation)
    except services.ServiceError as error:
        messages.error(request, str(error))
    else:
        messages.success(
            request,
            _("Item %(number)s asks the same question and knows this answer.")
            % {"number": gold.pk},
        )
    return SeeOther(reverse("annotations:item", args=[item.pk]))


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def acknowledge(request: AuthenticatedRequest, version_id: int) -> HttpResponse:
    """Show what changed in the guidelines; work goes on once it was seen."""
    version = access.get_guideline_version_for(request.user, version_id)
    form = AcknowledgeForm(request.POST or request.GET)
    following = form.assignment_id()
    if request.method == "POST":
        services.acknowledge(request.user, version)
        return SeeOther(_after(following, version.project_id))
    known = selectors.known_guideline(request.user, version)
    context = {
        "project": version.project,
        "version": version,
        "known": known,
        "lines": changed_lines(word_diff(known.full_text, version.full_text)) if known else [],
        "notes": selectors.notes_since(known, version),
        "following": following,
    }
    return render(request, "annotations/acknowledge.html", context)


def _after(assignment_id: int | None, project_id: int) -> str:
    if assignment_id is None:
        return reverse("annotations:project", args=[project_id])
    return reverse("annotations:assignment", args=[assignment_id])
