"""What an operation of the API is: a typed function, and what its types say about it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
)
from pydantic_core import core_schema

from annotations.models import ApiToken, Scope, User
from annotations.services import ServiceError

LARGEST_ID = 2**63 - 1
PATH_PARAMETER = re.compile(r"<(int|str):(\w+)>")


def _from_digits(value: Any) -> Any:
    """Read a number of an address: digits, and nothing that Python would take besides."""
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,19}", value):
        raise ValueError("write a whole number")
    return value


def _from_word(value: Any) -> Any:
    """Read a yes or no of an address."""
    if isinstance(value, str):
        if value not in ("true", "false"):
            raise ValueError("write true or false")
        return value == "true"
    return value


DIGITS = BeforeValidator(_from_digits)
"""Behind the bounds of a whole number in an address: before it, they would not be documented."""
IdInAddress = Annotated[int, Field(ge=1, le=LARGEST_ID), DIGITS]
Flag = Annotated[bool, BeforeValidator(_from_word)]
"""A yes or no in an address."""
Search = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
"""A text that is looked for."""


def _from_whole_float(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _with_whole_numbers(schema: Any) -> Any:
    """Return a schema in which a whole number may be written with a fraction of nothing."""
    if isinstance(schema, list):
        return [_with_whole_numbers(one) for one in schema]
    if isinstance(schema, tuple):
        return tuple(_with_whole_numbers(one) for one in schema)
    if not isinstance(schema, dict) or schema.get("function") is TAKES_WHOLE_FLOATS:
        return schema
    if schema.get("type") == "int" or type(schema.get("expected", [""])[0]) is int:
        return {"type": "function-before", "function": TAKES_WHOLE_FLOATS, "schema": schema}
    return {name: _with_whole_numbers(part) for name, part in schema.items()}


TAKES_WHOLE_FLOATS = {"type": "no-info", "function": _from_whole_float}


class Query(BaseModel):
    """What may stand behind the question mark of an address."""

    model_config = ConfigDict(extra="forbid")


class Body(BaseModel):
    """What a program sends. Nothing is guessed: what is not known is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Let 65.0 be a whole number, as JSON Schema does: some languages write every one so."""
        found: core_schema.CoreSchema = _with_whole_numbers(handler(source))
        return found


class Answer(BaseModel):
    """What a program is answered."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class FileAnswer:
    """An answer that is a file: it is sent while it is written, and never whole in memory."""

    name: str
    media_type: str
    """One of those that its operation names."""
    pieces: Iterable[bytes | str]


@dataclass(frozen=True)
class Call:
    """Who asks, and with which token."""

    user: User
    token: ApiToken


@dataclass(frozen=True)
class FileBody:
    """A body that is a file."""

    largest: int
    """In bytes."""
    check: Callable[..., object]
    """Called as the operation is, before the file is read: who may not send it need not."""
    prepare: Callable[..., AbstractContextManager[Any]]
    """What is done with the file before the operation, which gets what this yields: copies take
    long, and while an operation with a key goes on others wait."""


@dataclass(frozen=True)
class Operation:
    """One thing that programs can do, at one address with one method."""

    method: str
    path: str
    """As Django writes it: `projects/<int:project_id>`."""
    scope: Scope
    run: Callable[..., Any]
    tag: str
    status: int
    query: type[Query] | None
    body: type[Body] | None
    answer: type[BaseModel] | None
    """None: the answer has no body, or is a file."""
    refusals: tuple[type[Exception], ...]
    """What a service raises, with a sentence, when it can't be done."""
    answers_secret: bool = False
    """Its answer is kept nowhere: it is given once."""
    file: FileBody | None = None
    """The body is a file and not JSON."""
    again_in_s: Callable[[Any], int] | None = None
    """Of an answer: in how many seconds to ask again, as it is not all of it; 0 where it is."""
    media_types: tuple[str, ...] = ()
    """The answer is a file, of one of these."""

    @property
    def name(self) -> str:
        return self.run.__name__

    @property
    def summary(self) -> str:
        """Return its first sentence."""
        return self._words[0].partition(". ")[0].removesuffix(".")

    @property
    def description(self) -> str:
        """Return what follows the first sentence."""
        rest = self._words[0].partition(". ")[2]
        return "\n\n".join(filter(None, [rest, *self._words[1:]]))

    @property
    def _words(self) -> list[str]:
        return [" ".join(part.split()) for part in inspect.getdoc(self.run).split("\n\n")]  # type: ignore[union-attr]  # `operation` refuses functions without one

    @property
    def path_parameters(self) -> list[tuple[str, str]]:
        """Return the kind and name of every part of the path that is not fixed."""
        return [(match[1], match[2]) for match in PATH_PARAMETER.finditer(self.path)]

    @property
    def template(self) -> str:
        """Return the path as OpenAPI writes it."""
        return "/" + PATH_PARAMETER.sub(r"{\2}", self.path)


F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Operations:
    """The operations of one noun, in the order of the document."""

    tag: str
    refusals: tuple[type[Exception], ...] = (ServiceError,)
    found: list[Operation] = field(default_factory=list)

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.found)

    def get(self, path: str, *, again_in_s: Callable[[Any], int] | None = None) -> Callable[[F], F]:
        return self._operation("GET", path, Scope.READ, 200, again_in_s=again_in_s)

    def download(self, path: str, *media_types: str) -> Callable[[F], F]:
        return self._operation("GET", path, Scope.READ, 200, media_types=media_types)

    def post(
        self, path: str, scope: Scope, status: int = 200, *, answers_secret: bool = False
    ) -> Callable[[F], F]:
        return self._operation("POST", path, scope, status, answers_secret=answers_secret)

    def upload(
        self,
        path: str,
        scope: Scope,
        *,
        largest: int,
        check: Callable[..., object],
        prepare: Callable[..., AbstractContextManager[Any]],
    ) -> Callable[[F], F]:
        file = FileBody(largest, check, prepare)
        return self._operation("POST", path, scope, 201, file=file)

    def put(
        self, path: str, scope: Scope, *, again_in_s: Callable[[Any], int] | None = None
    ) -> Callable[[F], F]:
        return self._operation("PUT", path, scope, 200, again_in_s=again_in_s)

    def patch(self, path: str, scope: Scope) -> Callable[[F], F]:
        return self._operation("PATCH", path, scope, 200)

    def delete(self, path: str, scope: Scope) -> Callable[[F], F]:
        return self._operation("DELETE", path, scope, 204)

    def _operation(
        self,
        method: str,
        path: str,
        scope: Scope,
        status: int,
        *,
        answers_secret: bool = False,
        file: FileBody | None = None,
        again_in_s: Callable[[Any], int] | None = None,
        media_types: tuple[str, ...] = (),
    ) -> Callable[[F], F]:
        def add(function: F) -> F:
            hints = get_type_hints(function)
            answer = hints["return"]
            is_empty = answer is type(None)
            self.found.append(
                Operation(
                    method=method,
                    path=path,
                    scope=scope,
                    run=function,
                    tag=self.tag,
                    status=204 if is_empty else status,
                    query=hints.get("query"),
                    body=hints.get("body"),
                    answer=None if is_empty or media_types else answer,
                    refusals=self.refusals,
                    answers_secret=answers_secret,
                    file=file,
                    again_in_s=again_in_s,
                    media_types=media_types,
                )
            )
            return function

        return add
