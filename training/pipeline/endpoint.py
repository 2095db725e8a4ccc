"""One question to an OpenAI-compatible server, and everything that can come back instead.

`outward` says what may be connected to. Redirects are not followed. No torch, no Django.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import re
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import SplitResult

from training.pipeline.jobs import ExternalSource
from training.pipeline.outward import Guard, Limit, Line, OutwardError

LONGEST_ANSWER = 4 * 2**20
"""Bytes: many times what a model writes at once."""
LONGEST_EXCUSE = 200
"""Characters of a server's own explanation that are shown."""
LONGEST_WAIT_S = 120.0
"""What a server may ask for by Retry-After."""


class EndpointError(Exception):
    """There is no answer; the message is a sentence for the engineer."""

    def __init__(
        self, message: str, *, retry: bool = False, after_s: float = 0.0, for_all: bool = False
    ) -> None:
        super().__init__(message)
        self.retry = retry
        """Another try may succeed, at the soonest after `after_s` seconds."""
        self.after_s = after_s
        self.for_all = for_all
        """No other question will fare better."""


@dataclass(frozen=True)
class Answer:
    """What a server wrote."""

    text: str
    finish_reason: str
    model: str
    """What the server calls what answered."""
    tokens: int | None


def check_url(url: str, allowed: tuple[str, ...]) -> SplitResult:
    """Return the parts of a base URL. Raise EndpointError for one that may not be asked."""
    try:
        parts = _guard(allowed).check_url(url)
    except OutwardError as error:
        raise EndpointError(str(error), for_all=True) from None
    if parts.query:
        raise EndpointError(
            "The address may have no “?” in it. The key has a field of its own.", for_all=True
        )
    return parts


def _guard(allowed: tuple[str, ...]) -> Guard:
    return Guard(allowed, "ALLOWED_PRIVATE_ENDPOINTS")


def ask(
    source: ExternalSource, key: str, messages: list[dict[str, str]], sampling: dict[str, Any]
) -> Answer:
    """Return the server's answer to a conversation. Raise EndpointError, with what happened."""
    question = {"messages": messages, "stream": False, **sampling}
    with asked(source, key, question, Line()) as response:
        content = response.read(LONGEST_ANSWER + 1)
    return answer_of(source, response, content, key)


@contextlib.contextmanager
def asked(
    source: ExternalSource, key: str, question: dict[str, Any], line: Line
) -> Iterator[HTTPResponse]:
    """Yield the server's response to a question, to be read within its time.

    Whatever goes wrong meanwhile is raised as EndpointError.
    """
    parts = check_url(source.url, source.allowed)
    is_stream = question["stream"]
    headers = {
        "Content-Type": "application/json",
        "Accept": "text/event-stream, application/json" if is_stream else "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "labelstudio-llm",
        **({"Authorization": f"Bearer {key}"} if key else {}),
    }
    body = json.dumps({"model": source.model, **question})
    try:
        connection = _guard(source.allowed).connection(parts, source.timeout_s)
    except OutwardError as error:
        raise EndpointError(str(error), retry=error.retry, for_all=not error.retry) from None
    line.lies_on(connection)
    limit = Limit(line, source.timeout_s)
    try:
        path = f"{parts.path.rstrip('/')}/chat/completions"
        connection.request("POST", path, body.encode(), headers)
        yield connection.getresponse()
    except ssl.SSLCertVerificationError as error:
        raise EndpointError(
            f"The certificate of {parts.hostname} is not to be trusted ({error.verify_message}). "
            "Have it mended, or make its authority known to this machine (SSL_CERT_FILE).",
            for_all=True,
        ) from None
    except ssl.SSLError as error:
        raise EndpointError(
            f"No secure connection to {parts.hostname} ({error.reason or 'TLS failed'}). See "
            "whether the address begins with http:// instead.",
            for_all=True,
        ) from None
    except (OSError, HTTPException) as error:
        if limit.is_over or isinstance(error, TimeoutError):
            raise EndpointError(
                f"{source.name} did not answer within {source.timeout_s:g} seconds. See whether it "
                "is overloaded, or give it more time.",
                retry=True,
            ) from None
        raise EndpointError(
            f"The connection to {source.name} failed ({_what(error)}). See whether it runs.",
            retry=True,
        ) from None
    except EndpointError:  # what came may be a part
        if limit.is_over:
            raise _unfinished(source) from None
        raise
    finally:
        limit.lift()
        connection.close()
    if limit.is_over:  # what came by then may be a part
        raise _unfinished(source)


def _unfinished(source: ExternalSource) -> EndpointError:
    return EndpointError(
        f"{source.name} did not finish its answer within {source.timeout_s:g} seconds. Give it "
        "more time, or ask for fewer tokens.",
        retry=True,
    )


def answer_of(source: ExternalSource, response: HTTPResponse, content: bytes, key: str) -> Answer:
    """Return what a whole response says, or raise what it means."""
    status = response.status
    values = json_of(content)
    if status != 200:
        raise _refused(source, response, excuse_of(values, key))
    if len(content) > LONGEST_ANSWER:
        raise EndpointError(
            f"{source.name} sent more than {LONGEST_ANSWER // 2**20} MB. That is no completion; "
            "check the address."
        )
    if values is None:
        kind = re.sub(r"[^\w/.+-]", "", response.headers.get_content_type())[:40]
        raise EndpointError(
            f"{source.name} sent {kind}, which is no JSON. Check the address: it usually ends in "
            "/v1."
        )
    try:
        choice = values["choices"][0]
        text = choice["message"]["content"]
        reason = str(choice.get("finish_reason") or "")
        usage = values.get("usage") or {}
        tokens = usage.get("completion_tokens")
        model = str(values.get("model") or source.model)
    except (KeyError, IndexError, TypeError, AttributeError):
        raise EndpointError(
            f"{source.name} sent JSON without choices[0].message.content. It does not speak the "
            "OpenAI chat protocol at this address."
        ) from None
    if text is not None and not isinstance(text, str):
        raise EndpointError(f"{source.name} sent a completion that is no text.")
    if text is None or not text.strip():
        raise empty(source)
    return Answer(text, reason[:20], model[:200], tokens if type(tokens) is int else None)


def empty(source: ExternalSource) -> EndpointError:
    return EndpointError(f"{source.name} sent an empty answer.")


def _refused(source: ExternalSource, response: HTTPResponse, excuse: str) -> EndpointError:
    status, name = response.status, source.name
    if 300 <= status < 400:
        return EndpointError(
            f"{name} sent a redirect ({status}), which is not followed. Enter the address that it "
            "leads to.",
            for_all=True,
        )
    if status in (401, 403):
        return EndpointError(
            f"{name} refused the key ({status}){excuse}. Enter another one.", for_all=True
        )
    if status == 404:
        return EndpointError(
            f"{name} knows no chat at this address, or no model “{source.model}” (404){excuse}. "
            "The address usually ends in /v1.",
            for_all=True,
        )
    if status in (408, 409, 425, 429) or status >= 500:
        return EndpointError(
            f"{name} is not able to answer now ({status}){excuse}. Try again later.",
            retry=True,
            after_s=_retry_after(response),
        )
    return EndpointError(f"{name} refused the request ({status}){excuse}.")


def _retry_after(response: HTTPResponse) -> float:
    """Return how many seconds the server asks to be left alone, from a number or a date."""
    value = (response.getheader("Retry-After") or "").strip()
    try:
        seconds = float(value)
    except ValueError:
        date = email.utils.parsedate_tz(value)
        seconds = email.utils.mktime_tz(date) - time.time() if date else 0.0
    return min(max(seconds, 0.0), LONGEST_WAIT_S) if seconds == seconds else 0.0


def excuse_of(values: Any, key: str) -> str:
    """Return the server's own words, from where OpenAI-compatible servers put them."""
    error = values.get("error", values) if isinstance(values, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    if not isinstance(message, str) or not message.strip():
        return ""
    if key:
        message = message.replace(key, "…")
    words = " ".join("".join(c if c.isprintable() else " " for c in message).split())
    return f": “{words[:LONGEST_EXCUSE].rstrip('.')}”"


def json_of(content: bytes) -> Any:
    """Return the JSON that a server sent; None where it is none, or far too much."""
    try:
        return json.loads(content) if len(content) <= LONGEST_ANSWER else None
    except (ValueError, RecursionError):
        return None


def _what(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
