"""The arena: ask anything, read two anonymous answers, vote, and see who wrote them.

What a page, its source or its stream holds before the vote is the same whoever writes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotations import access as collecting_access
from annotations import services as collecting
from annotations.keys import bindings_for
from training import access, selectors, services
from training.forms.arena import ArenaForm
from training.services.arena import Beat, Ended, News, Pieces, Place, Problem
from training.views.shared import attempt, show_page

if TYPE_CHECKING:
    from annotations.models import Battle, Project
    from training.views.shared import AuthenticatedRequest

MOST_SHOWN = 20

VERDICTS = {
    "left": gettext_noop("You found A better."),
    "right": gettext_noop("You found B better."),
    "tie": gettext_noop("You found neither better."),
    "both_bad": gettext_noop("You found both bad."),
}


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def arena(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Show where one asks, or ask."""
    project = access.get_arena_for(request.user, project_id).project
    if request.method == "POST":
        text = request.POST.get("text", "")
        return _ask(request, project, text, lambda sentence: _ask_page(request, project, sentence))
    return _ask_page(request, project)


@login_required
@never_cache
@require_safe
def battle(request: AuthenticatedRequest, battle_id: int) -> HttpResponse:
    return _show(request, access.get_battle_for(request.user, battle_id))


@login_required
@require_POST
def write(request: AuthenticatedRequest, battle_id: int) -> HttpResponseBase:
    """Stream both answers as server-sent events; without a script, wait and show them."""
    found = access.get_battle_for(request.user, battle_id)
    news = services.write_battle(found)
    if "text/event-stream" not in request.headers.get("Accept", ""):
        _write_all(request, news)
        return redirect("training:battle", found.pk)
    response = StreamingHttpResponse(_as_events(news), content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"  # a proxy must not gather pieces
    return response


@login_required
@require_POST
def vote(request: AuthenticatedRequest, battle_id: int) -> HttpResponse:
    found = access.get_battle_for(request.user, battle_id)
    outcome = request.POST.get("outcome", "")
    return _act(request, found, lambda: services.vote_in_arena(found, outcome))


@login_required
@require_POST
def take_back(request: AuthenticatedRequest, battle_id: int) -> HttpResponse:
    found = access.get_battle_for(request.user, battle_id)
    return _act(request, found, lambda: services.take_back_arena_vote(found))


@login_required
@require_POST
def say(request: AuthenticatedRequest, battle_id: int) -> HttpResponse:
    """Go on with the better answer: another pair answers, as anonymous as the first."""
    found = access.get_battle_for(request.user, battle_id)
    text = request.POST.get("text", "")
    return _ask(
        request,
        found.project,
        text,
        lambda sentence: _show(request, found, problem=sentence, text=text),
        after=found,
    )


@login_required
@require_POST
def praise(request: AuthenticatedRequest, battle_id: int) -> HttpResponse:
    """Keep that an answer is good, or take that back."""
    found = access.get_battle_for(request.user, battle_id)
    position, is_good = request.POST.get("position", ""), request.POST.get("good") == "yes"
    return _judge(
        request,
        found,
        lambda: services.praise_in_battle(found, position, request.user, is_good=is_good),
    )


@login_required
@require_POST
def report(request: AuthenticatedRequest, battle_id: int) -> HttpResponse:
    """Report an answer by its letter. Before the vote that tells nobody who wrote it."""
    found = access.get_battle_for(request.user, battle_id)
    position, reason, words = (
        request.POST.get(name, "") for name in ("position", "reason", "words")
    )
    return _judge(
        request,
        found,
        lambda: services.report_in_battle(found, position, request.user, reason, words),
        is_report=True,
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Show and keep who fights, who may ask, how often, and whether votes teach."""
    project = access.get_project_for(request.user, project_id)
    form = ArenaForm(project, request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            services.set_arena(project, **form.cleaned_data, changed_by=request.user)
        except services.ServiceError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "The arena is set. It holds from the next question on.")
            return redirect("training:arena", project_id)
    context = {"form": form, "by_default": selectors.fighters(project)}
    status = 422 if form.is_bound else 200
    return show_page(request, project, "training/arena_settings.html", context, status)


def _ask(
    request: AuthenticatedRequest,
    project: Project,
    text: str,
    refuse: Callable[[str], HttpResponse],
    *,
    after: Battle | None = None,
) -> HttpResponse:
    try:
        asked = services.ask_in_arena(project, request.user, text, after=after)
    except services.ServiceError as error:
        return _problem(request, str(error)) if _is_scripted(request) else refuse(str(error))
    url = reverse("training:battle", args=[asked.pk])
    if _is_scripted(request):
        return HttpResponse(status=204, headers={"HX-Redirect": url})
    _write_all(request, services.write_battle(asked))
    return redirect(url)


def _act(request: AuthenticatedRequest, found: Battle, act: Callable[[], Any]) -> HttpResponse:
    """Do one thing to a battle and show it as it stands then."""
    if not _is_scripted(request):
        attempt(request, act)
        return redirect("training:battle", found.pk)
    try:
        act()
    except services.ServiceError as error:
        return _show(request, found, problem=str(error))
    return _show(request, access.get_battle_for(request.user, found.pk))


def _judge(
    request: AuthenticatedRequest,
    found: Battle,
    act: Callable[[], Any],
    *,
    is_report: bool = False,
) -> HttpResponse:
    """Praise or report one answer, and show again what stands under it."""
    problem = ""
    try:
        act()
    except services.ServiceError as error:
        problem = str(error)
    if not _is_scripted(request):
        if problem:
            messages.warning(request, problem)
        elif is_report:
            messages.success(request, _("Reported. Thank you; it is looked into."))
        return redirect("training:battle", found.pk)
    context: dict[str, Any] = {
        "battle": found,
        "keys": bindings_for(request.user),
        "is_reported": is_report and not problem,
        "report_problem": problem,
    }
    position = request.POST.get("position", "")
    voted, template = collecting.vote_of(found), "training/_battle_report.html"
    context["position"] = int(position) if position in ("1", "2") else 0
    if voted:
        template = "training/_answer_actions.html"
        context["answer"] = selectors.shown_answers(found, voted.outcome)[
            1 if position == "2" else 0
        ]
    return render(request, template, context, status=422 if problem else 200)


def _write_all(request: AuthenticatedRequest, news: Iterator[News]) -> None:
    """Wait until both answers have ended: what a page without scripts does."""
    for one in news:
        if isinstance(one, Problem):
            messages.error(request, one.message)


def _as_events(news: Iterator[News]) -> Iterator[str]:
    """Yield news as server-sent events; a reader who left closes both."""
    yield ": both answers follow\n\n"
    for one in news:
        match one:
            case Place(place, seconds):
                yield _event("place", {"place": place, "seconds": seconds})
            case Pieces(left, right):
                # Nothing is told of a piece that is held back, not even that it came.
                yield _event("pieces", [left, right]) if left or right else ": beat\n\n"
            case Problem(message):
                yield _event("problem", message)
            case Ended():
                yield _event("end", "")
            case Beat():
                yield ": beat\n\n"


def _event(name: str, value: object) -> str:
    return f"event: {name}\ndata: {json.dumps(value)}\n\n"


def _ask_page(request: AuthenticatedRequest, project: Project, problem: str = "") -> HttpResponse:
    own = collecting_access.get_battles_for(request.user, project.pk)
    left = selectors.arena_of(project).daily_limit - collecting.asked_today(request.user, project)
    fighters = selectors.fighters(project)
    context = {
        "problem": problem,
        "text": request.POST.get("text", "") if request.method == "POST" else _asked_again(request),
        "fighters": len(fighters),
        "goes_elsewhere": any(one.is_external for one in fighters),
        "left_today": max(0, left),
        "battles": own[:MOST_SHOWN],
    }
    return show_page(request, project, "training/arena.html", context, 422 if problem else 200)


def _asked_again(request: AuthenticatedRequest) -> str:
    """Return the question of one's own battle that failed, to be asked again."""
    number = request.GET.get("again", "")
    if not number.isdecimal() or len(number) > 9:
        return ""
    return access.get_battle_for(request.user, int(number)).prompt.text


def _show(
    request: AuthenticatedRequest, found: Battle, *, problem: str = "", text: str = ""
) -> HttpResponse:
    *earlier, question = found.prompt.messages
    voted = collecting.vote_of(found)
    context = {
        "battle": found,
        "step": "voted" if voted else found.state,
        "earlier": earlier,
        "question": question["content"],
        "answers": selectors.shown_answers(found, voted.outcome if voted else ""),
        "verdict": VERDICTS[voted.outcome] if voted else "",
        "failure": collecting.why_failed(found),
        "marks": [_(found.Mark(mark).label) for mark in found.marks] if voted else [],
        "has_seen_names": found.assignment_id is not None,
        "seconds_left": selectors.seconds_to_take_back(found) if voted else 0,
        "goes_on": collecting.liked_answer(found) is not None,
        "keys": bindings_for(request.user),
        "problem": problem,
        "text": text,
    }
    status = 422 if problem else 200
    if _is_scripted(request):
        membership = access.get_membership_for(request.user, found.project_id)
        shared = {"project": found.project, "membership": membership}
        return render(request, "training/_battle.html", shared | context, status=status)
    return show_page(request, found.project, "training/battle.html", context, status)


def _is_scripted(request: AuthenticatedRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def _problem(request: AuthenticatedRequest, sentence: str) -> HttpResponse:
    """Say what was refused above the field; what was written stays in it."""
    response = render(request, "training/_arena_problem.html", {"problem": sentence}, status=422)
    response["HX-Retarget"], response["HX-Reswap"] = "#problem", "innerHTML"
    return response
