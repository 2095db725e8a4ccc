"""What a page answers when the database cannot."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5


class DatabaseBusyMiddleware:
    """Answer 503 where the database was locked for too long, went away, or is not up yet.

    A page that sends work takes 503 for a lost connection: it keeps the work and sends it again.
    What was not acknowledged is rolled back or, sent twice, answered as the first time.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, OperationalError | InterfaceError):
            return None
        logger.error("%s %s had no database", request.method, request.path, exc_info=exception)
        page = render_to_string("503.html")
        return HttpResponse(page, status=503, headers={"Retry-After": str(RETRY_SECONDS)})
