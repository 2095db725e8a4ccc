"""The id of a request: taken from the proxy, told in the answer, written with every line of logs.

A line for each request says what was answered and how long that took. It names the route and not
the address, in which a token may stand, and it holds no text that anybody wrote.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from labelstudio_llm.logs import FIELDS
from training import tracing

HEADER = "X-Request-ID"
ACCEPTED = re.compile(r"[A-Za-z0-9._:/+=-]{1,100}", re.ASCII)

logger = logging.getLogger(__name__)

Answer = Callable[[HttpRequest], HttpResponseBase]


def number_requests(get_response: Answer) -> Answer:
    """Give each request an id: the one that came with it, where that can stand in a log."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        came_with = request.headers.get(HEADER, "")
        request_id = came_with if ACCEPTED.fullmatch(came_with) else uuid.uuid4().hex
        request.request_id = request_id  # type: ignore[attr-defined]  # for lines after the end
        begun = time.monotonic()
        with tracing.belonging_to(request_id=request_id):
            response = get_response(request)
            response[HEADER] = request_id
            log(request, response, time.monotonic() - begun)
        return response

    return middleware


def log(request: HttpRequest, response: HttpResponseBase, seconds: float) -> None:
    """Write the line of a request. Probes, which come every few seconds, and files have none."""
    if getattr(request, "is_probe", False) or request.path.startswith(settings.STATIC_URL):
        return
    match = request.resolver_match
    fields: dict[str, Any] = {
        "method": request.method,
        "route": "/" + match.route if match else None,
        "objects": {k: v for k, v in match.kwargs.items() if isinstance(v, int)} if match else {},
        "status": response.status_code,
        "ms": round(seconds * 1000, 1),
        "streaming": response.streaming,
    }
    session_user = getattr(request, "_cached_user", None)  # whoever was asked for; no query for it
    if session_user is not None and session_user.is_authenticated:
        fields["user"] = session_user.pk
    logger.info(
        "%s %s %s",
        request.method,
        fields["route"] or "no such page",
        response.status_code,
        extra={FIELDS: fields},
    )
