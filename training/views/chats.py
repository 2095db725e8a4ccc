"""Chats with checkpoints. Everything works without scripts, where a page waits for its replies."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from training import access, selectors, services
from training.forms.chats import ChatForm, settings_of, settings_to_begin_with
from training.models import Chat
from training.views.shared import attempt, show_page

if TYPE_CHECKING:
    from annotations.models import Project
    from training.views.shared import AuthenticatedRequest

LONGEST_NUMBER = 9
"""Digits of a turn's number: more is nonsense."""


@login_required
def new_chat(request: AuthenticatedRequest, project_id: int) -> HttpResponse:
    """Show an empty chat; its first message makes it."""
    project = access.get_project_for(request.user, project_id)
    if request.method != "POST":
        return _new_chat_page(request, project)
    form = ChatForm(project.pk, request.POST)
    try:
        if not form.is_valid():
            raise services.ServiceError(form.sentence())
        text = str(form.cleaned_data["text"] or "")
        begun = services.start_chat(project, request.user, text, form.choice())
    except services.ServiceError as error:
        if _is_scripted(request):
            return _problem(request, str(error))
        return _new_chat_page(request, project, form, str(error))
    if _is_scripted(request):
        return HttpResponse(status=204, headers={"HX-Redirect": _address(begun)})
    _write_all(begun)
    return redirect("training:chat", begun.pk)


@login_required
@require_GET
def chat(request: AuthenticatedRequest, chat_id: int) -> HttpResponse:
    return _chat_page(request, access.get_chat_for(request.user, chat_id))


@login_required
@require_POST
def say(request: AuthenticatedRequest, chat_id: int) -> HttpResponse:
    return _say(request, access.get_chat_for(request.user, chat_id), services.say)


@login_required
@require_POST
def say_differently(request: AuthenticatedRequest, chat_id: int) -> HttpResponse:
    chat = access.get_chat_for(request.user, chat_id)
    return _say(request, chat, services.say_differently)


@login_required
@require_GET
def reply(request: AuthenticatedRequest, reply_id: int) -> HttpResponse:
    """Show one reply as it stands: what takes the place of the text that streamed in."""
    found = access.get_reply_for(request.user, reply_id)
    turns = selectors.turns_of(found.chat)
    context = {
        "project": found.chat.project,
        "chat": found.chat,
        "reply": found,
        "is_last": bool(turns) and turns[-1].message.turn == found.turn,
    }
    response = render(request, "training/_chat_reply.html", context)
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
def write(request: AuthenticatedRequest, reply_id: int) -> HttpResponseBase:
    """Stream a reply as server-sent events; without a script, wait for it and show the chat."""
    found = access.get_reply_for(request.user, reply_id)
    if "text/event-stream" not in request.headers.get("Accept", ""):
        _write_all(found.chat)
        return redirect("training:chat", found.chat_id)
    response = StreamingHttpResponse(
        _as_events(services.write_reply(found)), content_type="text/event-stream"
    )
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"  # a proxy must not gather tokens
    return response


@login_required
@require_POST
def stop(request: AuthenticatedRequest, reply_id: int) -> HttpResponse:
    found = access.get_reply_for(request.user, reply_id)
    services.stop_reply(found)
    if _is_scripted(request):
        return HttpResponse(status=204)
    return redirect("training:chat", found.chat_id)


@login_required
@require_POST
def ask_again(request: AuthenticatedRequest, reply_id: int) -> HttpResponse:
    found = access.get_reply_for(request.user, reply_id)
    if _is_scripted(request):
        try:
            services.ask_again(found)
        except services.ServiceError as error:
            return _problem(request, str(error))
        return _log(request, found.chat)
    attempt(request, lambda: services.ask_again(found))
    _write_all(found.chat)
    return redirect("training:chat", found.chat_id)


@login_required
@require_POST
def report_reply(request: AuthenticatedRequest, reply_id: int) -> HttpResponse:
    reply = access.get_reply_for(request.user, reply_id)
    reason, words = request.POST.get("reason", ""), request.POST.get("words", "")
    try:
        services.report_reply(reply, request.user, reason, words)
    except services.ServiceError as error:
        if not _is_scripted(request):
            messages.warning(request, str(error))
            return redirect("training:chat", reply.chat_id)
        context = {"reply": reply, "report_problem": str(error)}
        return render(request, "training/_reply_actions.html", context, status=422)
    if not _is_scripted(request):
        messages.success(request, "Reported. Thank you; it is looked into.")
        return redirect("training:chat", reply.chat_id)
    context = {"reply": reply, "is_reported": True}
    return render(request, "training/_reply_actions.html", context)


@login_required
@require_POST
def praise_reply(request: AuthenticatedRequest, reply_id: int) -> HttpResponse:
    """Keep that a reply is good, or take that back."""
    reply = access.get_reply_for(request.user, reply_id)
    is_good = request.POST.get("good") == "yes"
    if not _is_scripted(request):
        attempt(request, lambda: services.praise_reply(reply, request.user, is_good=is_good))
        return redirect("training:chat", reply.chat_id)
    problem = ""
    try:
        services.praise_reply(reply, request.user, is_good=is_good)
    except services.ServiceError as error:
        problem = str(error)
    reply.refresh_from_db()
    context = {"reply": reply, "report_problem": problem}
    status = 422 if problem else 200
    return render(request, "training/_reply_actions.html", context, status=status)


def _say(request: AuthenticatedRequest, chat: Chat, act: Callable[..., None]) -> HttpResponse:
    # The form that edits a message has no settings without scripts: those of the chat hold.
    form = ChatForm(chat.project_id, settings_of(chat) | request.POST.dict())
    turn = request.POST.get("turn", "")
    try:
        if not form.is_valid():
            raise services.ServiceError(form.sentence())
        if not turn.isdecimal() or len(turn) > LONGEST_NUMBER:
            raise services.ServiceError("The page is not whole. Load it again, then send.")
        act(chat, str(form.cleaned_data["text"] or ""), form.choice(), turn=int(turn))
    except services.ServiceError as error:
        if _is_scripted(request):
            return _problem(request, str(error))
        return _chat_page(request, chat, form, str(error))
    if _is_scripted(request):
        return _log(request, chat)
    _write_all(chat)
    return redirect("training:chat", chat.pk)


def _write_all(chat: Chat) -> None:
    """Wait for every reply of a chat, but not for ever: what a page without scripts does."""
    until = time.monotonic() + services.WAITED_FOR_S
    for turn in selectors.turns_of(chat):
        for one in turn.replies:
            if one.is_open:
                for _ in services.write_reply(one, within_s=until - time.monotonic()):
                    pass


def _as_events(news: Generator[services.News]) -> Generator[str]:
    """Yield news as server-sent events; a reader who left closes both."""
    yield ": the reply follows\n\n"
    with contextlib.closing(news):
        for one in news:
            yield f"event: {one.kind}\ndata: {json.dumps(one.text)}\n\n"


def _is_scripted(request: AuthenticatedRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def _address(chat: Chat) -> str:
    return redirect("training:chat", chat.pk).url


def _problem(request: AuthenticatedRequest, sentence: str) -> HttpResponse:
    """Say what was refused above the field; what was written stays in it."""
    response = render(request, "training/_chat_problem.html", {"problem": sentence}, status=422)
    response["HX-Retarget"], response["HX-Reswap"] = "#problem", "innerHTML"
    return response


def _log(request: AuthenticatedRequest, chat: Chat) -> HttpResponse:
    chat.refresh_from_db()
    context = {"project": chat.project, "chat": chat, "turns": selectors.turns_of(chat)}
    return render(request, "training/_chat_log.html", context)


def _new_chat_page(
    request: AuthenticatedRequest,
    project: Project,
    form: ChatForm | None = None,
    problem: str = "",
) -> HttpResponse:
    chats = selectors.chats_of(project, request.user)
    initial = settings_to_begin_with(project.pk, chats.first())
    if (wanted := request.GET.get("checkpoint", "")).isdecimal():
        initial["left"] = wanted[:LONGEST_NUMBER]
    context: dict[str, Any] = {
        "chat": None,
        "turns": [],
        "form": form or ChatForm(project.pk, initial=initial),
        "problem": problem,
        "chats": chats[: selectors.CHATS_SHOWN],
        "has_checkpoints": selectors.checkpoints_that_chat(project.pk).exists(),
    }
    return show_page(request, project, "training/chat.html", context, 422 if problem else 200)


def _chat_page(
    request: AuthenticatedRequest, chat: Chat, form: ChatForm | None = None, problem: str = ""
) -> HttpResponse:
    chats = selectors.chats_of(chat.project, request.user)
    context = {
        "chat": chat,
        "turns": selectors.turns_of(chat),
        "form": form or ChatForm(chat.project_id, initial=settings_of(chat)),
        "problem": problem,
        "chats": chats[: selectors.CHATS_SHOWN],
        "has_checkpoints": True,
    }
    return show_page(request, chat.project, "training/chat.html", context, 422 if problem else 200)
