"""Errors told to a Sentry server, where SENTRY_DSN names one. The package is optional.

Told is where it happened, never what people wrote: no bodies of requests, no local variables, no
names.
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
            before_send=add_ids,
        )
    except sentry_sdk.utils.BadDsn as error:
        raise ImproperlyConfigured(
            f"SENTRY_DSN can't be read ({error}). Copy it from the project's settings in Sentry."
        ) from error


def add_ids(event: Any, _hint: Any) -> Any:
    """Add which request, task and run an error belongs to."""
    event.setdefault("tags", {}).update(tracing.ids())
    return event
