"""Deciding about items on which people disagree, worth most first."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations import access, selectors, services
from annotations.access import DECIDING
from annotations.algorithms.text import MAX_REASON_CHARS
from annotations.forms.adjudication import AnyDecisionForm, decide, decision_form
from annotations.keys import bindings_for
from annotations.models import Item, Kind, Project, Role, User
from annotations.selectors import adjudication as selected
from annotations.views.request import AuthenticatedRequest, SeeOther

PAGE_SIZE = 20

ASKED = {
    Kind.COMPARISON: "Which is better?",
    Kind.RANKING: "Which order is right?",
    Kind.RATING: "Which rating is right?",
}


@login_required
@require_GET
@never_cache
def adjudication(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """List what waits for a decision, and what was decided."""
    project = access.get_project_for(request.user, project_id, *DECIDING)
    membership = access.get_membership_for(request.user, project_id)
    rejected, reviewed = selected.rejected_share(project)
    waiting = selected.waiting_for(project, request.user)
    pages = Paginator(selected.decided(project), PAGE_SIZE)
    context = {
        "project": project,
        "membership": membership,
        "waiting": waiting.found,
        "as_of": waiting.as_of,
        "is_known": waiting.is_known,
        "window": selected.WINDOW,
        "page": pages.get_page(request.GET.get("page")),
        "makes_gold": membership.role == Role.OWNER,
        "rejected": rejected,
        "reviewed": reviewed,
        "failing": selectors.doubted_gold(project),
    }
    return render(request, "annotations/adjudication.html", context)


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def adjudicate(request: AuthenticatedRequest, item_id: int) -> HttpResponse:
    """Show both sides without names, and take the decision."""
    item = access.get_item_for(request.user, item_id, *DECIDING)
    form = decision_form(item, request.user, request.POST if request.method == "POST" else None)
    if form is None or not selected.may_decide(item, request.user):
        words = "This item is not yours to decide: you have a part in it."
        if reason := request.POST.get("reason", "").strip():
            words += f" You had written: “{reason[:MAX_REASON_CHARS]}”"
        messages.error(request, words)
        return SeeOther(reverse("annotations:adjudication", args=[item.project_id]))
    if request.method == "POST" and form.is_valid():
        try:
            decide(item, request.user, form)
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"Item {item.pk} is decided.")
            return SeeOther(_next(item.project, request.user))
    return _page(request, item, form)


@login_required
@require_POST
def withdraw(request: AuthenticatedRequest, item_id: int) -> HttpResponse:
    """Take the decision about an item back: one's own, or as an owner anybody's."""
    item = access.get_item_for(request.user, item_id, *DECIDING)
    membership = access.get_membership_for(request.user, item.project_id)
    by = None if membership.role == Role.OWNER else request.user
    try:
        services.withdraw_adjudication(item, by=by)
    except services.ServiceError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"The decision about item {item.pk} is taken back.")
    return SeeOther(reverse("annotations:adjudication", args=[item.project_id]))


@login_required
@require_POST
def retire_gold(request: AuthenticatedRequest, item_id: int) -> HttpResponse:
    item = access.get_item_for(request.user, item_id, Role.OWNER)
    try:
        services.retire_gold(item)
    except services.ServiceError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Gold item {item.pk} is asked of nobody any more.")
    return SeeOther(reverse("annotations:adjudication", args=[item.project_id]))


def _next(project: Project, user: User) -> str:
    waiting = selected.disagreements(project, user, limit=1)
    if waiting:
        return reverse("annotations:adjudicate", args=[waiting[0].item.pk])
    return reverse("annotations:adjudication", args=[project.pk])


def _page(request: AuthenticatedRequest, item: Item, form: AnyDecisionForm) -> HttpResponse:
    order = selected.order_for(item, request.user)
    turns = item.prompt.messages
    context = {
        "item": item,
        "project": item.project,
        "membership": access.get_membership_for(request.user, item.project_id),
        "form": form,
        "asked": ASKED[Kind(item.kind)],
        "earlier_turns": turns[:-1],
        "prompt_text": turns[-1]["content"],
        "completions": selected.texts_in(order),
        "answers": selected.answers_about(item, order),
        "keys": bindings_for(request.user),
    }
    status = 422 if form.is_bound else 200
    return render(request, "annotations/adjudicate.html", context, status=status)
