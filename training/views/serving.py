"""The endpoint for programs, as OpenAI's: `/v1/models` and `/v1/chat/completions`.

A bearer token lets in, and nothing else: no session is read, so no page of another site can use
somebody's. Whatever goes wrong is answered as OpenAI answers it, with a sentence.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator
from functools import wraps
from itertools import chain
from typing import TYPE_CHECKING, Any

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from annotations.access import TokenRefusedError, get_token_for
from annotations.services import note_use
from training import services, streaming
from training.chat_requests import BadRequest, ChatRequest, read_chat_request, too_large
from training.selectors.serving import (
    ServedModel,
    served_model,
    served_models,
    served_projects,
)
from training.streaming import Done, Failed, Generation, Heartbeat, Token, Waiting

if TYPE_CHECKING:
    from annotations.models import ApiToken

OUTCOME_S = 2.0
"""How long a stream waits for its first word, so that a refusal has the status of one."""
COMMENT_EVERY_S = 5.0
"""A stream that says nothing for so long says so; a client that has left is noticed by it."""
TRY_AGAIN_S = 30

Numbered = tuple[int, streaming.Event]


class Refused(Exception):
    """The answer is an error; see `_error`."""

    def __init__(self, status: int, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status = status
        self.details = details


def _error(
    status: int,
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
    retry_after: int | None = None,
) -> JsonResponse:
    """Return an error as OpenAI words it."""
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JsonResponse(body, status=status, headers=headers)


def for_programs(
    method: str,
) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Let in programs with a token, and answer what they did wrong."""

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @csrf_exempt
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                if request.method != method:
                    message = f"Use {method} for this address, not {request.method}."
                    raise Refused(405, message, code="method_not_allowed")
                return view(request, _token(request), *args, **kwargs)
            except Refused as error:
                return _error(error.status, str(error), **error.details)
            except BadRequest as error:
                status = 413 if error.code == "request_too_large" else 400
                return _error(status, str(error), param=error.param, code=error.code)
            except (OperationalError, InterfaceError):
                message = "The database does not answer. Try again in half a minute."
                return _error(503, message, kind="server_error", retry_after=TRY_AGAIN_S)

        return guarded

    return decorate


@for_programs("GET")
def models(request: HttpRequest, token: ApiToken) -> HttpResponse:
    """List the models that the token may talk with."""
    return JsonResponse({"object": "list", "data": [_model(m) for m in served_models(token)]})


@for_programs("GET")
def model(request: HttpRequest, token: ApiToken, name: str) -> HttpResponse:
    """Tell of one model."""
    return JsonResponse(_model(_wanted(token, name)))


@for_programs("POST")
def chat_completions(request: HttpRequest, token: ApiToken) -> HttpResponseBase:
    """Let a model answer messages."""
    asked = read_chat_request(_body(request))
    served = _wanted(token, asked.model)
    names = _begin(asked, served)
    if not connection.in_atomic_block:
        connection.close()  # an answer may take minutes, and needs none
    answer = _Answer(asked, served, names)
    return answer.streamed() if asked.is_stream else answer.whole()


@csrf_exempt
def nothing_here(request: HttpRequest, rest: str) -> HttpResponse:
    """Answer for all other addresses of OpenAI's."""
    message = (
        f"There is no /v1/{rest} here. GET /v1/models, GET /v1/models/NAME and "
        "POST /v1/chat/completions are."
    )
    return _error(404, message, code="unknown_url")


def _token(request: HttpRequest) -> ApiToken:
    """Return the token that the request shows, if it lets in."""
    try:
        token = get_token_for(request.headers.get("Authorization", ""))
    except TokenRefusedError as error:
        raise Refused(401, str(error), code="invalid_api_key") from None
    if services.MODELS not in token.scopes:
        message = "This token is not good for talking with models. Make one that is."
        raise Refused(403, message, code="insufficient_permissions")
    note_use(token)
    return token


def _wanted(token: ApiToken, name: str) -> ServedModel:
    """Return the model of this name."""
    if not served_projects(token):
        message = (
            "The owner of this token is not an owner, engineer or reviewer of its projects any "
            "more. Ask the projects' owner, or make another token."
        )
        raise Refused(403, message, code="insufficient_permissions")
    found = served_model(token, name)
    if found is None:
        message = (
            f"There is no model {name!r} for this token. GET /v1/models lists what there is; a "
            "project has one once a checkpoint was promoted."
        )
        raise Refused(404, message, param="model", code="model_not_found")
    return found


def _model(served: ServedModel) -> dict[str, Any]:
    created = int(served.checkpoint.created_at.timestamp())
    return {
        "id": served.name,
        "object": "model",
        "created": created,
        "owned_by": "labelstudio-llm",
    }


def _body(request: HttpRequest) -> bytes:
    """Return the body. One that is too long is read all the same, as far as the site reads any.

    Who is still sending does not see an answer.
    """
    try:
        return request.body
    except RequestDataTooBig:
        raise too_large(request.META["CONTENT_LENGTH"]) from None


def _begin(asked: ChatRequest, served: ServedModel) -> list[str]:
    """Let all choices wait for their turn; none where one can't."""
    names: list[str] = []
    try:
        for number in range(asked.choices):
            names.append(streaming.begin(_generation(asked, served, number)))
    except streaming.Busy as error:
        _stop(names)
        raise _too_many(str(error), error.seconds) from None
    except streaming.Unavailable as error:
        _stop(names)
        raise Refused(503, str(error), kind="server_error", retry_after=TRY_AGAIN_S) from None
    return names


def _generation(asked: ChatRequest, served: ServedModel, number: int) -> Generation:
    return Generation(
        checkpoint_id=served.checkpoint.pk,
        messages=asked.messages,
        temperature=asked.temperature,
        top_p=asked.top_p,
        max_new_tokens=asked.max_tokens,
        seed=None if asked.seed is None else (asked.seed + number) % 2**63,
        stop=asked.stop,
    )


def _stop(names: list[str]) -> None:
    for name in names:
        streaming.stop(name)


class _Answer:
    """The choices of one answer while they are written."""

    def __init__(self, asked: ChatRequest, served: ServedModel, names: list[str]) -> None:
        self.asked = asked
        self.names = names
        self.common = {
            "id": f"chatcmpl-{names[0]}",
            "created": int(time.time()),
            "model": asked.model,
            "system_fingerprint": f"checkpoint-{served.checkpoint.pk}",
        }
        self.texts = [""] * len(names)
        self.ends: dict[int, Done] = {}

    def whole(self) -> HttpResponse:
        """Return the answer when all of it is written."""
        for _, event in self._events():
            if isinstance(event, Failed):
                raise _refused(event)
        choices = [
            {
                "index": number,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": self.ends[number].finish_reason,
            }
            for number, text in enumerate(self.texts)
        ]
        body = {**self.common, "object": "chat.completion", "choices": choices}
        return JsonResponse({**body, "usage": self._usage()})

    def streamed(self) -> StreamingHttpResponse:
        """Return the answer as server-sent events, begun when there is a first word or a delay."""
        events = self._events()
        waiting: list[Numbered] = []
        until = time.monotonic() + OUTCOME_S
        for number, event in events:
            if isinstance(event, Failed):
                events.close()
                raise _refused(event)
            waiting.append((number, event))
            if isinstance(event, Token | Done) or time.monotonic() > until:
                break
        return StreamingHttpResponse(
            self._lines(waiting, events),
            content_type="text/event-stream; charset=utf-8",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )

    def _events(self) -> Generator[Numbered, None, None]:
        """Yield what happens and remember it; stop what is not finished when nobody listens."""
        try:
            for number, event in streaming.events_of(self.names):
                if isinstance(event, Token):
                    self.texts[number] += event.text
                elif isinstance(event, Done):
                    self.ends[number] = event
                yield number, event
        finally:
            _stop([name for n, name in enumerate(self.names) if n not in self.ends])

    def _lines(
        self, begun: list[Numbered], events: Generator[Numbered, None, None]
    ) -> Iterator[str]:
        """Yield the events of the answer, as they go over the line."""
        try:
            for number in range(len(self.names)):
                yield self._chunk(number, {"role": "assistant", "content": "", "refusal": None})
            said_at = time.monotonic()
            for number, event in chain(begun, events):
                line = self._line(number, event)
                if line or time.monotonic() - said_at >= COMMENT_EVERY_S:
                    said_at = time.monotonic()
                    yield line or ": still here\n\n"
                if isinstance(event, Failed):
                    return
            if self.asked.wants_usage:
                yield self._data({"choices": [], "usage": self._usage()})
            yield "data: [DONE]\n\n"
        finally:
            events.close()

    def _line(self, number: int, event: streaming.Event) -> str:
        match event:
            case Token(text):
                return self._chunk(number, {"content": text})
            case Done(reason):
                return self._chunk(number, {}, reason)
            case Waiting(place, seconds):
                return f": waiting, place {place}, about {seconds} s\n\n"
            case Failed():
                failed = _refused(event)
                body = {"error": {"message": str(failed), "type": "server_error", "param": None}}
                return f"data: {json.dumps({**body, 'code': None})}\n\n"
            case Heartbeat():
                return ""

    def _chunk(self, number: int, delta: dict[str, Any], reason: str | None = None) -> str:
        choice = {"index": number, "delta": delta, "logprobs": None, "finish_reason": reason}
        return self._data({"choices": [choice]})

    def _data(self, values: dict[str, Any]) -> str:
        chunk = {**self.common, "object": "chat.completion.chunk", **values}
        if self.asked.wants_usage:
            chunk.setdefault("usage", None)
        return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"

    def _usage(self) -> dict[str, int]:
        """Return what all choices took together; they share their prompt."""
        read = max(end.usage["prompt_tokens"] for end in self.ends.values())
        written = sum(end.usage["completion_tokens"] for end in self.ends.values())
        return {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        }


def _too_many(message: str, seconds: int) -> Refused:
    return Refused(429, message, kind="requests", code="rate_limit_exceeded", retry_after=seconds)


def _refused(failed: Failed) -> Refused:
    if failed.again_in:
        return _too_many(failed.message, failed.again_in)
    if failed.is_refusal:
        return Refused(400, failed.message, param="messages", code=failed.code or None)
    return Refused(503, failed.message, kind="server_error", retry_after=TRY_AGAIN_S)
