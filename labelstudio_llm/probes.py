"""What programs ask: /healthz (this process lives), /readyz (what it needs is there), /metrics.

Answered before anything else looks at the request: a load balancer asks by an address, over plain
http, and a machine whose database is away must be able to say so.
"""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.db import DatabaseError
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotAllowed,
    JsonResponse,
)
from django.utils.crypto import constant_time_compare

from labelstudio_llm import metrics, readiness
from labelstudio_llm.requests import Answer
from labelstudio_llm.version import VERSION

TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


def answer_probes(get_response: Answer) -> Answer:
    """Answer the three addresses that programs ask; leave all others to the site."""
    probes = {"/healthz": healthz, "/readyz": readyz, "/metrics": show_metrics}

    def middleware(request: HttpRequest) -> HttpResponseBase:
        probe = probes.get(request.path_info)
        if probe is None:
            return get_response(request)
        request.is_probe = True  # type: ignore[attr-defined]  # read by the log of requests
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        response = probe(request)
        response["Cache-Control"] = "no-store"
        return response

    return middleware


def healthz(_request: HttpRequest) -> HttpResponse:
    """Say that this process answers. Whoever gets no answer should start it again."""
    return JsonResponse({"healthy": True, "version": VERSION})


def readyz(request: HttpRequest) -> HttpResponse:
    """Say whether what the site needs is there: 200, or 503 with what fails and what to do.

    `?exclude=broker&exclude=artifacts` leaves checks out: labelling goes on without those two.
    """
    left_out = frozenset(request.GET.getlist("exclude"))
    if unknown := left_out - set(readiness.CHECKS):
        known = ", ".join(readiness.CHECKS)
        return JsonResponse(
            {"error": f"There is no check {', '.join(sorted(unknown))}; there are {known}."},
            status=400,
        )
    failing = readiness.failing(left_out)
    checked = [name for name in readiness.CHECKS if name not in left_out]
    return JsonResponse(
        {
            "ready": not failing,
            "checks": {name: failing.get(name, "ok") for name in checked},
        },
        status=503 if failing else 200,
    )


def show_metrics(request: HttpRequest) -> HttpResponse:
    """Show the figures in the text format of Prometheus to those who may read them."""
    if not may_read_metrics(request):
        return HttpResponse(
            "Send METRICS_TOKEN as a bearer token, or ask from one of METRICS_ADDRESSES.\n",
            status=403,
            content_type=TEXT_FORMAT,
        )
    try:
        text = metrics.collect()
    except DatabaseError:
        return HttpResponse("The database does not answer.\n", status=503, content_type=TEXT_FORMAT)
    return HttpResponse(text, content_type=TEXT_FORMAT)


def may_read_metrics(request: HttpRequest) -> bool:
    """Return whether a request carries the token, or comes straight from an allowed address.

    What came through a proxy has the proxy's address, whoever asked: it needs the token.
    """
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if settings.METRICS_TOKEN and kind.lower() == "bearer":
        return constant_time_compare(token.strip(), settings.METRICS_TOKEN)
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:  # a Unix socket has none
        return False
    return any(address in network for network in settings.METRICS_ADDRESSES)
