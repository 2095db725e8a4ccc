"""The OpenAPI document of the operations, from their types, and the same for a page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from annotations.api import repetitions
from annotations.api.files import MEDIA_TYPE
from annotations.api.limits import WINDOW_S
from annotations.api.operations import LARGEST_ID, Operation
from annotations.api.problems import CONTENT_TYPE, KINDS, ProblemDetails
from annotations.models import Scope

VERSION = "1.0.0"
Json = dict[str, Any]
Mode = Literal["validation", "serialization"]

ABOUT = (
    "What the pages do, for programs. Show a token with `Authorization: Bearer lsl-…`; it lets a "
    "program do what its owner may, in the projects and for the purposes that it names. Lists come "
    "newest first, a page at a time: send `next` as `cursor`. A POST with an `Idempotency-Key` can "
    "be sent again without doing anything twice. `RateLimit` says what is left of this minute."
)
FILE = f"The file itself, {MEDIA_TYPE}, of {{:.0f}} GB at most."
COMMON = ("no-token", "missing-scope", "too-many-requests", "failed", "unavailable")
"""The problems that every operation may meet."""


def document_of(operations: Sequence[Operation], *, server: str) -> Json:
    """Return the OpenAPI 3.1 document."""
    refs, schemas = _schemas(operations)
    paths: dict[str, Json] = {}
    for operation in operations:
        entry = paths.setdefault(operation.template, {})
        entry[operation.method.lower()] = _operation(operation, refs)
    return {
        "openapi": "3.1.0",
        "info": {"title": "labelstudio-llm", "version": VERSION, "description": ABOUT},
        "servers": [{"url": server}],
        "security": [{"token": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(one.tag for one in operations)],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": _headers(),
            "responses": {kind.name: _problem(refs, kind.title) for kind in KINDS},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of this site. Its scopes: "
                    + "; ".join(f"`{scope.value}`: {scope.label}" for scope in Scope)
                    + ".",
                }
            },
        },
    }


Refs = dict[Any, Json]
"""Where a model's schema is, by model and mode."""


def _schemas(operations: Sequence[Operation]) -> tuple[Refs, Json]:
    wanted: dict[tuple[type[BaseModel], Mode], None] = {(ProblemDetails, "serialization"): None}
    for operation in operations:
        if operation.body is not None:
            wanted[operation.body, "validation"] = None
        if operation.answer is not None:
            wanted[operation.answer, "serialization"] = None
    refs, definitions = models_json_schema(
        list(wanted), ref_template="#/components/schemas/{model}"
    )
    return dict(refs), definitions["$defs"]


def _operation(operation: Operation, refs: Refs) -> Json:
    found: Json = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": "\n\n".join(
            filter(None, [operation.description, f"Takes the scope `{operation.scope.value}`."])
        ),
        "parameters": list(_parameters(operation)),
        "responses": _responses(operation, refs),
    }
    if operation.body is not None:
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": refs[operation.body, "validation"]}},
        }
    if operation.file is not None:
        found["requestBody"] = {
            "required": True,
            "description": FILE.format(operation.file.largest / 1024**3),
            "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        }
    return found


def _parameters(operation: Operation) -> Iterator[Json]:
    for kind, name in operation.path_parameters:
        schema: Json = {"type": "string"}
        if kind == "int":
            schema = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if operation.query is not None:
        properties = operation.query.model_json_schema(ref_template="{model}")
        for name, schema in properties["properties"].items():
            schema = _without_null(_resolved(schema, properties.get("$defs", {})))
            description = schema.pop("description", "")
            is_required = name in properties.get("required", [])
            found = {"name": name, "in": "query", "required": is_required, "schema": schema}
            yield found | ({"description": description} if description else {})
    if operation.method == "POST":
        yield {
            "name": repetitions.HEADER,
            "in": "header",
            "required": False,
            "description": "Any text of your own, such as a UUID. For a day, the same request with "
            "the same key is answered as the first time, and nothing is done again.",
            "schema": {
                "type": "string",
                "minLength": 1,
                "maxLength": repetitions.LONGEST_KEY,
                "pattern": f"^{repetitions.KEY}$",
            },
        }


def _resolved(schema: Json, definitions: Json) -> Json:
    """Return a schema with what it refers to in its place."""
    if "$ref" in schema:
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        return _resolved(definitions[schema["$ref"]] | rest, definitions)
    if "anyOf" in schema:
        return schema | {"anyOf": [_resolved(one, definitions) for one in schema["anyOf"]]}
    return schema


def _without_null(schema: Json) -> Json:
    """Return the schema of a filter: one that is not wanted is left out, not null."""
    found = {name: value for name, value in schema.items() if name not in ("title", "anyOf")}
    if found.get("default", "") is None:
        del found["default"]
    for choice in schema.get("anyOf", []):
        if choice.get("type") != "null":
            found = {k: v for k, v in choice.items() if k not in ("title", "description")} | found
    return found


def _responses(operation: Operation, refs: Refs) -> Json:
    done: Json = {"description": operation.summary, "headers": _limit_headers()}
    if operation.answer is not None:
        schema = refs[operation.answer, "serialization"]
        done["content"] = {"application/json": {"schema": schema}}
    for media_type in operation.media_types:
        done.setdefault("content", {})[media_type] = {"schema": {}}
    responses: Json = {str(operation.status): done}
    if operation.again_in_s is not None:
        responses["202"] = done | {
            "description": "Not all of it yet: ask again when `Retry-After` says.",
            "headers": _limit_headers() | _retry_header(),
        }
    for name in _problems(operation):
        kind = next(kind for kind in KINDS if kind.name == name)
        # One answer for each status: its `type` tells kinds of the same status apart.
        responses.setdefault(str(kind.status), {"$ref": f"#/components/responses/{name}"})
    return responses


def _problems(operation: Operation) -> Iterator[str]:
    yield from COMMON
    yield "wrong-filter"
    if operation.path_parameters or operation.method != "GET":
        yield "not-found"
    if operation.method != "GET":
        yield from ("not-possible", "malformed", "too-large")
    if operation.method == "GET" and operation.scope == Scope.READ:
        yield "not-possible"
    if operation.body is not None:
        yield from ("wrong-media-type", "wrong-body")
    if operation.file is not None:
        yield "wrong-media-type"
    if operation.method == "POST":
        yield "key-used"


def _problem(refs: Refs, title: str) -> Json:
    schema = refs[ProblemDetails, "serialization"]
    return {
        "description": title,
        "headers": _limit_headers() | _retry_header(),
        "content": {CONTENT_TYPE: {"schema": schema}},
    }


def _limit_headers() -> Json:
    names = ("RateLimit", "RateLimit-Policy")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _retry_header() -> Json:
    return {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}


def _headers() -> Json:
    return {
        "RateLimit": {
            "description": f"What is left (`r`) of these {WINDOW_S} seconds, and until when (`t`).",
            "schema": {"type": "string"},
        },
        "RateLimit-Policy": {
            "description": "How many requests (`q`) a token may make in `w` seconds.",
            "schema": {"type": "string"},
        },
        "Retry-After": {
            "description": "In how many seconds to send it again, where that may help.",
            "schema": {"type": "integer", "minimum": 1},
        },
    }


# For people ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A field or a filter, as the page lists it."""

    name: str
    form: tuple[str, ...]
    """What it may be: words, and between them names of types that the page explains."""
    is_required: bool
    note: str


@dataclass(frozen=True)
class OnPage:
    """An operation, as the page shows it."""

    operation: Operation
    filters: list[Line]
    fields: list[Line]
    answers: list[Line]


@dataclass(frozen=True)
class TypeOnPage:
    """A part of what is sent or answered, as the page shows it."""

    name: str
    about: str
    fields: list[Line]


def on_page(operations: Sequence[Operation]) -> list[tuple[str, list[OnPage]]]:
    """Return the operations by their noun."""
    groups = groupby(operations, key=lambda one: one.tag)
    return [(tag, [_on_page(one) for one in found]) for tag, found in groups]


def types_on_page(operations: Sequence[Operation]) -> list[TypeOnPage]:
    """Return the types that the lines of the page name, by name."""
    _, schemas = _schemas(operations)
    named = set(REFERENCE.findall(json.dumps(schemas)))
    return [
        TypeOnPage(name, schemas[name].get("description", ""), _lines_of(schemas[name], schemas))
        for name in sorted(named)
        if "properties" in schemas[name] and not name.startswith(("Page_", "ProblemDetails"))
    ]


REFERENCE = re.compile(r'"#/components/schemas/(\w+)"')


def _on_page(operation: Operation) -> OnPage:
    return OnPage(
        operation,
        filters=_lines(operation.query, "validation"),
        fields=[*_lines(operation.body, "validation"), *_file(operation)],
        answers=[*_lines(operation.answer, "serialization"), *_file_answered(operation)],
    )


def _file(operation: Operation) -> list[Line]:
    if operation.file is None:
        return []
    words = FILE.format(operation.file.largest / 1024**3)
    return [Line("the body", ("file",), is_required=True, note=words)]


def _file_answered(operation: Operation) -> list[Line]:
    if not operation.media_types:
        return []
    words = f"Sent while it is written: {', '.join(operation.media_types)}."
    return [Line("the body", ("file",), is_required=True, note=words)]


def _lines(model: type[BaseModel] | None, mode: Mode) -> list[Line]:
    if model is None:
        return []
    schema = model.model_json_schema(mode=mode, ref_template="{model}")
    return _lines_of(schema, schema.get("$defs", {}))


def _lines_of(schema: Json, definitions: Json) -> list[Line]:
    required = schema.get("required", [])
    return [
        Line(
            name,
            tuple(_words(part, definitions).split(AROUND_TYPES)),
            name in required,
            " ".join(filter(None, [part.get("description"), _default(part)])),
        )
        for name, part in schema["properties"].items()
    ]


def _default(schema: Json) -> str:
    default = schema.get("default")
    return "" if default in (None, "", [], {}) else f"By default {json.dumps(default)}."


AROUND_TYPES = "\0"
"""Stands around names of types in the words about a value."""


def _words(schema: Json, definitions: Json) -> str:
    """Return what a value may be, in few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if "properties" in definitions[name]:
            return f"{AROUND_TYPES}{name}{AROUND_TYPES}"
        return _words(definitions[name], definitions)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_words(one, definitions) for one in schema[several])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_words(schema.get('items', {}), definitions)}"
    if "const" in schema:
        return str(schema["const"])
    if schema.get("format") == "date-time":
        return "date and time"
    return f"{schema.get('type', 'anything')}{_bounds(schema)}"


def _bounds(schema: Json) -> str:
    low, high = schema.get("minimum"), schema.get("maximum", LARGEST_ID)
    if low is not None and high < 2**31 - 1:
        return f", {low} to {high}"
    return f", at most {schema['maxLength']} characters" if "maxLength" in schema else ""
