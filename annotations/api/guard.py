"""What holds for every operation: who is let in, what is read of a request, how it is answered.

A bearer token lets in, and nothing else: no session is read, so no page of another site can use
somebody's.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.request import UnreadablePostError
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from annotations import access, services
from annotations.api import limits, repetitions
from annotations.api.files import received
from annotations.api.operations import Body, Call, FileAnswer, Operation, Query
from annotations.api.problems import Problem, answer_problem

logger = logging.getLogger(__name__)

RETRY_S = 5
NUL = re.compile(rb"\x00|(?<!\\)(?:\\\\)*\\u0000")
JSON_TYPE = re.compile(r"application/(?:[\w.-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
MOST_ERRORS = 20
WORDS = {
    "missing": "It is needed, and was not sent.",
    "extra_forbidden": "There is no such field here.",
    "int_type": "Write a whole number.",
    "union_tag_not_found": "Say of which kind it is, in its field {discriminator}.",
    "union_tag_invalid": "{tag!r} is no {discriminator} here; there are {expected_tags}.",
    "too_short": "Send at least {min_length}; there are {actual_length}.",
    "too_long": "Send at most {max_length}; there are {actual_length}.",
    "string_too_short": "Send at least {min_length} characters.",
    "string_too_long": "Send at most {max_length} characters.",
}
"""What is wrong, by Pydantic's names, where its own words speak of its insides."""
NO_SUCH_ROW = re.compile(r"No (\w+) matches the given query\.")

View = Callable[..., HttpResponseBase]


def view_of(operations: Mapping[str, Operation], about: str) -> View:
    """Return the view of one address: its operations by method; `about` explains problems."""

    @csrf_exempt
    def view(request: HttpRequest, **path: Any) -> HttpResponseBase:
        return answered(request, about, lambda headers: _run(request, operations, path, headers))

    return view


def nothing_here(about: str) -> View:
    """Return the view of all other addresses."""

    @csrf_exempt
    def view(request: HttpRequest, rest: str) -> HttpResponseBase:
        def refuse(headers: dict[str, str]) -> HttpResponse:
            _let_in(request, headers)
            raise Problem("not-found", f"There is no such address. {about} lists those there are.")

        return answered(request, about, refuse)

    return view


def answered(
    request: HttpRequest, about: str, run: Callable[[dict[str, str]], HttpResponseBase]
) -> HttpResponseBase:
    """Return what `run` answers, or the problem that it met, with the headers that it fills."""
    response: HttpResponseBase
    headers = {"Cache-Control": "no-store"}
    try:
        response = run(headers)
    except Problem as problem:
        response = answer_problem(problem, about)
    except Http404 as error:
        response = answer_problem(Problem("not-found", _not_found(error)), about)
    except (OperationalError, InterfaceError) as error:
        logger.error("%s %s had no database", request.method, request.path, exc_info=error)
        detail = "The database does not answer. Nothing was changed; send it again in a moment."
        again = {"Retry-After": str(RETRY_S)}
        response = answer_problem(Problem("unavailable", detail, headers=again), about)
    except Exception as error:
        # Whatever it is, a program gets an answer that it can read, and the log the rest.
        logger.exception("%s %s failed", request.method, request.path, exc_info=error)
        got_request_exception.send(sender=answered, request=request)
        detail = "This failed here, and is in the site's log. Nothing was changed."
        response = answer_problem(Problem("failed", detail), about)
    for name, value in headers.items():
        response.headers.setdefault(name, value)
    return response


def _not_found(error: Http404) -> str:
    """Return what is not there; where Django says it, without the name of its class."""
    words = str(error) or "There is no such thing."
    if match := NO_SUCH_ROW.fullmatch(words):
        noun = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", match[1]).lower()
        return f"There is no such {noun} that this token reaches."
    return words


def _run(
    request: HttpRequest,
    operations: Mapping[str, Operation],
    path: Mapping[str, Any],
    headers: dict[str, str],
) -> HttpResponseBase:
    call = _let_in(request, headers)
    method = "GET" if request.method == "HEAD" else request.method or ""
    operation = operations.get(method)
    if operation is None:
        allowed = ", ".join(operations)
        message = f"Use {allowed} here, not {request.method}."
        raise Problem("wrong-method", message, headers={"Allow": allowed})
    if operation.scope not in call.token.scopes:
        raise Problem(
            "missing-scope",
            f"This takes a token with the scope {operation.scope.value!r}; this one has: "
            f"{', '.join(call.token.scopes)}.",
        )
    values = dict(path)
    query = _read_query(request, operation.query)
    if query is not None:
        values["query"] = query
    if operation.file is not None:
        operation.file.check(call, **path)
        with received(request, largest=operation.file.largest) as file, ExitStack() as stack:
            try:
                ready = stack.enter_context(operation.file.prepare(call, **values, file=file))
            except operation.refusals as refusal:
                raise Problem("not-possible", str(refusal)) from None
            sent = file.sha256.encode()
            return _once(request, operation, call, {**values, "file": ready}, sent)
    raw = _read(request)
    if operation.body is not None:
        values["body"] = _read_body(request, raw, operation.body)
    if operation.media_types:
        return _sent(_answer_of(operation, call, values))
    return _once(request, operation, call, values, raw)


def _once(
    request: HttpRequest,
    operation: Operation,
    call: Call,
    values: Mapping[str, Any],
    sent: bytes,
) -> HttpResponse:
    """Carry an operation out; of two requests with the same key and the same sent, one."""
    key = request.headers.get(repetitions.HEADER)
    if key is None or operation.method != "POST":
        return _carry_out(operation, call, values)
    address = request.get_full_path()
    return repetitions.once(
        call.token,
        key,
        address,
        sent,
        lambda: _carry_out(operation, call, values),
        is_secret=operation.answers_secret,
    )


def _let_in(request: HttpRequest, headers: dict[str, str]) -> Call:
    try:
        token = access.get_token_for(request.headers.get("Authorization", ""))
    except access.TokenRefusedError as error:
        raise Problem("no-token", str(error), headers={"WWW-Authenticate": "Bearer"}) from None
    allowance = limits.spend(token.pk)
    headers.update(allowance.headers)
    if allowance.is_spent:
        raise Problem(
            "too-many-requests",
            f"A token may make {allowance.limit} requests a minute. Go on in "
            f"{allowance.seconds} seconds.",
        )
    services.note_use(token)
    return Call(token.user, token)


def _read_query(request: HttpRequest, wanted: type[Query] | None) -> Query | None:
    known = list(wanted.model_fields) if wanted else []
    errors = [
        (name, "There is no such filter here." if name not in known else "Send it once.")
        for name, values in request.GET.lists()
        if name not in known or len(values) > 1
    ]
    query = None
    if wanted is not None and not errors:
        try:
            query = wanted.model_validate(request.GET.dict())
        except ValidationError as error:
            errors = _errors(error, request.GET.dict())
    if errors:
        names = ", ".join(known) or "none"
        what = _in_words(errors)
        detail = f"{what} The filters of this address: {names}."
        raise Problem("wrong-filter", detail, errors=errors, allowed=known)
    return query


def _read(request: HttpRequest) -> bytes:
    try:
        return request.body
    except RequestDataTooBig:
        raise Problem("too-large", "The body is larger than 12 MB. Send it in parts.") from None
    except UnreadablePostError:
        raise Problem("malformed", "The body did not arrive in full. Send it again.") from None


def _read_body(request: HttpRequest, raw: bytes, wanted: type[Body]) -> Body:
    if not JSON_TYPE.fullmatch(request.headers.get("Content-Type", "")):
        raise Problem("wrong-media-type", "Send JSON, with Content-Type: application/json.")
    if NUL.search(raw):
        message = "There is a NUL character in a text, which no database keeps. Leave it out."
        raise Problem("wrong-body", message)
    try:
        return wanted.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            raise Problem("malformed", f"This is not JSON: {first['ctx']['error']}.") from None
        errors = _errors(error, from_json(raw))[:MOST_ERRORS]
        raise Problem("wrong-body", _in_words(errors), errors=errors) from None


def _errors(error: ValidationError, sent: Any) -> list[tuple[str, str]]:
    """Return where something is wrong, and what, in sentences, each once."""
    found = [(_place(one, sent), _sentence(one)) for one in error.errors(include_url=False)]
    return list(dict.fromkeys(found))


def _place(error: ErrorDetails, sent: Any) -> str:
    """Return where that is in what was sent. Pydantic names the types of a choice, too."""
    place = []
    *above, last = error["loc"] or ("",)
    for part in above:
        if part in _parts(sent):
            place.append(part)
            sent = sent[part]
    if last in _parts(sent) or error["type"] == "missing":
        place.append(last)
    return ".".join(map(str, place)) or "body"


def _parts(sent: Any) -> Collection[str | int]:
    return range(len(sent)) if isinstance(sent, list) else sent if isinstance(sent, dict) else ()


def _in_words(errors: Sequence[tuple[str, str]]) -> str:
    return " ".join(f"{field}: {message}" for field, message in errors[:MOST_ERRORS])


def _sentence(error: ErrorDetails) -> str:
    if words := WORDS.get(error["type"]):
        return words.format(**error.get("ctx", {}))
    text = error["msg"].removeprefix("Value error, ").replace("Input should be", "This should be")
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _answer_of(operation: Operation, call: Call, values: Mapping[str, Any]) -> Any:
    try:
        return operation.run(call, **values)
    except operation.refusals as refusal:
        raise Problem("not-possible", str(refusal)) from None


def _sent(file: FileAnswer) -> StreamingHttpResponse:
    response = StreamingHttpResponse(file.pieces, content_type=file.media_type)
    response["Content-Disposition"] = f'attachment; filename="{file.name}"'
    return response


def _carry_out(operation: Operation, call: Call, values: Mapping[str, Any]) -> HttpResponse:
    answer = _answer_of(operation, call, values)
    if answer is None:
        return HttpResponse(status=operation.status)
    assert isinstance(answer, BaseModel)
    response = HttpResponse(
        answer.model_dump_json(), status=operation.status, content_type="application/json"
    )
    if operation.again_in_s is not None and (seconds := operation.again_in_s(answer)):
        response.status_code = 202
        response["Retry-After"] = str(seconds)
    return response


def by_path(operations: Sequence[Operation]) -> dict[str, dict[str, Operation]]:
    """Return operations by address and method."""
    found: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        found.setdefault(operation.path, {})[operation.method] = operation
    return found
