"""The request and the redirect that every view here speaks of."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from annotations.models import User

AT_ONCE = 2
"""How many of one process's requests work at the same time where it is known to be short."""

MOST_PATIENCE = 2.0
"""Seconds after which a request works all the same: what is before it may wait for a database."""

_places = threading.BoundedSemaphore(AT_ONCE)

P = ParamSpec("P")


class AuthenticatedRequest(HttpRequest):
    """A request of a person who has signed in."""

    user: User


class SeeOther(HttpResponseRedirect):
    """Send the browser on with a GET, whatever the request was."""

    status_code = 303


def is_from_script(request: HttpRequest) -> bool:
    """Say whether the answer is swapped into a page instead of being one."""
    return "HX-Request" in request.headers


def in_line(
    view: Callable[Concatenate[AuthenticatedRequest, P], HttpResponse],
) -> Callable[Concatenate[AuthenticatedRequest, P], HttpResponse]:
    """Let the requests of a short view wait for each other, a few at a time.

    Threads share one interpreter: all at once, each is done last, and more time goes into passing
    it on than into the work.
    """

    @wraps(view)
    def waiting(request: AuthenticatedRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        has_place = _places.acquire(timeout=MOST_PATIENCE)
        try:
            return view(request, *args, **kwargs)
        finally:
            if has_place:
                _places.release()

    return waiting
