"""The request and the redirect that every view here speaks of."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseRedirect

from annotations.models import User


class AuthenticatedRequest(HttpRequest):
    """A request of a person who has signed in."""

    user: User


class SeeOther(HttpResponseRedirect):
    """Send the browser on with a GET, whatever the request was."""

    status_code = 303


def is_from_script(request: HttpRequest) -> bool:
    """Say whether the answer is swapped into a page instead of being one."""
    return "HX-Request" in request.headers
