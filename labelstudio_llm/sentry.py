"""Errors told to a Sentry server, where SENTRY_DSN names one. The package is optional.

Told is where it happened, never what people wrote: no addresses and bodies of requests, no messages
of errors, no local variables, no names.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from training import tracing


def start(dsn: str, version: str) -> None:
    """Tell errors to the server of a DSN from now on. Raise ImproperlyConfigured if that can't be.

    The integrations for Django and Celery switch themselves on.
    """
    try:
        import sentry_sdk
    except ImportError as error:
        raise ImproperlyConfigured(
            "SENTRY_DSN is set, but the package sentry-sdk is not installed. Run "
            "`pip install -r requirements-production.txt`, or unset SENTRY_DSN."
        ) from error
    try:
        sentry_sdk.init(
            dsn=dsn,
            release=f"labelstudio-llm@{version}",
            send_default_pii=False,
            include_local_variables=False,
            max_request_body_size="never",
            before_send=tell_where,
        )
    except sentry_sdk.utils.BadDsn as error:
        raise ImproperlyConfigured(
            f"SENTRY_DSN can't be read ({error}). Copy it from the project's settings in Sentry."
        ) from error


def tell_where(event: Any, _hint: Any) -> Any:
    """Return an event with where an error happened, by which ids the log has the rest, no more.

    Addresses hold secrets of invitations and what was searched for, messages of errors the values
    that a database refused, and so do lines of logs.
    """
    event.setdefault("tags", {}).update(tracing.ids())
    if "request" in event:
        event["request"] = {"method": event["request"].get("method")}
    for error in event.get("exception", {}).get("values", []):
        error.pop("value", None)
    if "logentry" in event:
        event["logentry"] = {"message": event["logentry"].get("message")}
    event.get("extra", {}).pop("sys.argv", None)
    if "breadcrumbs" in event:
        queries = [one for one in event["breadcrumbs"]["values"] if one.get("category") == "query"]
        event["breadcrumbs"] = {"values": queries}  # their parameters are not in them
    return event
