"""What went wrong, as RFC 9457 has it: what, why here, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS
from django.forms import BaseForm
from django.http import HttpResponse
from pydantic import BaseModel, Field

CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True)
class KindOfProblem:
    """One kind of problem: what a program can tell it by, and what it means to its author."""

    name: str
    status: int
    title: str
    advice: str


KINDS = (
    KindOfProblem(
        "malformed",
        400,
        "The request can't be read",
        "Send JSON in UTF-8, as the detail says; nothing was done.",
    ),
    KindOfProblem(
        "wrong-filter",
        400,
        "A filter or a number in the address is wrong",
        "`errors` says which; `allowed` names all that this address knows.",
    ),
    KindOfProblem(
        "no-token",
        401,
        "No token that lets in",
        "Send `Authorization: Bearer lsl-…`. People make tokens on their page of tokens.",
    ),
    KindOfProblem(
        "missing-scope",
        403,
        "The token is not good for this",
        "Make a token with the scope that the detail names.",
    ),
    KindOfProblem(
        "not-found",
        404,
        "There is no such thing for this token",
        "It does not exist, or its owner may not see it, or the token does not reach its project.",
    ),
    KindOfProblem(
        "wrong-method",
        405,
        "This address is not used with this method",
        "The header `Allow` names those that it is used with.",
    ),
    KindOfProblem(
        "not-possible",
        409,
        "This can't be done as things stand",
        "The detail says why, and what to do first. Nothing was changed.",
    ),
    KindOfProblem(
        "guidelines-changed",
        409,
        "There are new guidelines to read",
        "Show `guideline` to the person, acknowledge it, and ask again. Their work is kept.",
    ),
    KindOfProblem(
        "too-large",
        413,
        "The request is too large",
        "Send it in several parts.",
    ),
    KindOfProblem(
        "wrong-media-type",
        415,
        "The body is not what is wanted here",
        "Send JSON with `Content-Type: application/json`, and a file with "
        "`application/octet-stream`.",
    ),
    KindOfProblem(
        "wrong-body",
        422,
        "The body does not say what is needed",
        "`errors` says which field is wrong, and why. Nothing was changed.",
    ),
    KindOfProblem(
        "key-used",
        409,
        "The idempotency key belongs to another request",
        "Take a new key for every request that is not a repetition.",
    ),
    KindOfProblem(
        "too-many-requests",
        429,
        "Too many requests with this token",
        "Wait for as many seconds as `Retry-After` says.",
    ),
    KindOfProblem(
        "failed",
        500,
        "Something failed here",
        "It is in the log of this site. Send the request again, with the same idempotency key.",
    ),
    KindOfProblem(
        "unavailable",
        503,
        "The database does not answer",
        "Send the request again after as many seconds as `Retry-After` says.",
    ),
)
KIND_BY_NAME = {kind.name: kind for kind in KINDS}


class FieldError(BaseModel):
    """What is wrong with one field."""

    field: str = Field(description="Where it is: `answer.choice`, `prompts.0.messages`.")
    message: str


class ProblemDetails(BaseModel):
    """An RFC 9457 problem."""

    type: str = Field(description="The address of what is known about problems of this kind.")
    title: str
    status: int
    detail: str = Field(description="What is wrong here, and what to do next.")
    errors: list[FieldError] = []
    allowed: list[str] = Field([], description="Of a wrong filter: all that there are.")
    guideline: int | None = Field(None, description="The version that is to be acknowledged.")


class Problem(Exception):
    """The answer is a problem of one of the kinds above."""

    def __init__(
        self,
        name: str,
        detail: str,
        *,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.kind = KIND_BY_NAME[name]
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})
        self.more = more


def expect_valid(form: BaseForm, kind: str = "wrong-body") -> None:
    """Raise a problem with what the form of a page finds wrong."""
    if not form.is_valid():
        errors = [
            ("body" if name == NON_FIELD_ERRORS else name, str(text))
            for name, texts in form.errors.items()
            for text in texts
        ]
        raise Problem(kind, " ".join(text for _, text in errors), errors=errors)


def answer_problem(problem: Problem, base: str) -> HttpResponse:
    """Answer with a problem; `base` is the page that explains each kind."""
    body: dict[str, Any] = {
        "type": f"{base}#{problem.kind.name}",
        "title": problem.kind.title,
        "status": problem.kind.status,
        "detail": problem.detail,
        **problem.more,
    }
    if problem.errors:
        body["errors"] = [{"field": field, "message": text} for field, text in problem.errors]
    return HttpResponse(
        json.dumps(body, ensure_ascii=False),
        status=problem.kind.status,
        content_type=CONTENT_TYPE,
        headers=problem.headers,
    )
