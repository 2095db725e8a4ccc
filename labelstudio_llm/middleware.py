"""What is answered where no view can: the database is away, or the address is a button's."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import Resolver404, resolve
from django.utils.cache import add_never_cache_headers
from django.views.defaults import server_error

from training.store import StoreError

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5


class DatabaseBusyMiddleware:
    """Answer 503 where the database or the artifact store is locked, full, away, or not up yet.

    A page that sends work takes 503 for a lost connection: it keeps the work and sends it again.
    What was not acknowledged is rolled back or, sent twice, answered as the first time.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return ask_to_wait(request, exception)


def answer_failure(request: HttpRequest) -> HttpResponse:
    """Answer what failed outside of a view: where a session is kept, or an error page is drawn."""
    exception = sys.exception()
    return (exception and ask_to_wait(request, exception)) or server_error(request)


def ask_to_wait(request: HttpRequest, exception: BaseException) -> HttpResponse | None:
    """Return the 503 for what is away or full. Return None for any other error."""
    if not isinstance(exception, OperationalError | InterfaceError | StoreError):
        return None
    away = "artifact store" if isinstance(exception, StoreError) else "database"
    # Not the address, in which the secret of an invitation may stand.
    match = request.resolver_match
    route = f"/{match.route}" if match else "a page"
    logger.error("%s %s had no %s", request.method, route, away, exc_info=exception)
    page = render_to_string("503.html", {"away": away})
    return HttpResponse(page, status=503, headers={"Retry-After": str(RETRY_SECONDS)})


def explain_wrong_method(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Answer who opens the address of a button with the way to the button, not with nothing.

    A reload, the address bar or a sign-in in between leads there. Nothing was done, and a
    redirect would hide that.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if not isinstance(response, HttpResponseNotAllowed) or request.method != "GET":
            return response
        page = render(request, "405.html", {"above": page_above(request.path_info)}, status=405)
        page["Allow"] = response["Allow"]
        return page

    return middleware


def believe_proxy(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Take a request to come from where the proxy in front says, if there is one.

    The proxy adds the address last; what stands before it the client may have made up.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if settings.BEHIND_PROXY and (said := request.headers.get("X-Forwarded-For")):
            request.META["REMOTE_ADDR"] = said.rpartition(",")[2].strip()
        return get_response(request)

    return middleware


def keep_private(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Let no browser and no proxy keep what was made for one person, unless a view says how.

    On a shared machine the way back in the browser would show it after they signed out.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if request.session.accessed and not response.has_header("Cache-Control"):
            add_never_cache_headers(response)
        return response

    return middleware


def page_above(path: str) -> str:
    """Return the nearest address above `path` that a page answers: the one with the button."""
    while path != "/":
        path = path.rstrip("/").rpartition("/")[0] + "/"
        try:
            resolve(path)
        except Resolver404:
            continue
        return path
    return path
