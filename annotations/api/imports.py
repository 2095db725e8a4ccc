"""Files that come in: sent, looked at, corrected, imported, as on the page of imports."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from annotations import access, selectors, services
from annotations.algorithms.text import letter_of
from annotations.api.files import Received
from annotations.api.operations import Answer, Body, Call, Operations, Query
from annotations.api.pages import Page, Paged, page_of
from annotations.api.prompts import MessageOut
from annotations.forms.imports import COLUMN, ReadingForm
from annotations.importers import FORMATS, LineError, Record
from annotations.models import Import, Project, Role, Scope

operations = Operations("Imports")

RECORDS_SHOWN = 5

Format = Literal["label_studio", "argilla", "open_assistant", "anthropic_hh", "chat", "table"]
Target = Literal[
    "prompt",
    "context",
    "completion",
    "chosen",
    "rejected",
    "left",
    "right",
    "completions",
    "ranks",
    "winner",
    "label",
    "strength",
    "annotator",
    "votes",
    "reason",
    "left_model",
    "right_model",
    "model",
    "id",
    "tags",
]
Column = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]


class FileName(Query):
    """What a file is called."""

    name: Name = Field(description="What the file is called, for people.")


class ImportFilters(Paged):
    state: Import.State | None = None


class ImportOut(Answer):
    """A file on its way into a project: checked as a whole first, then written."""

    id: int
    name: str
    size: int
    state: Import.State = Field(
        description="`shown` waits to be started, `refused` has bad lines and nothing was written; "
        "`done`, `failed` and `cancelled` are ends."
    )
    format: Format
    columns: dict[str, str] = Field(description="By what it is: the column that is taken for it.")
    annotator: str = Field(description="Who said what the file does not say who said.")
    asks: bool = Field(description="Whether people are asked about what nobody judged in it.")
    rows: int = Field(description="Done in this state.")
    total: int | None = Field(description="Rows in the file, once it is checked.")
    found: dict[str, int] = Field(description="What there is in the file, by name.")
    written: dict[str, int] = Field(
        description="What became of it, by name; `duplicates` were there already."
    )
    bad_lines: int
    problem: str = Field(description="Why it failed, and what to do.")
    batch: str = Field(description="By which its items are found.")
    created_at: datetime
    ended_at: datetime | None


class BadLine(Answer):
    """What is wrong with a line of a file."""

    line: int
    message: str


class ImportWithErrors(ImportOut):
    """An import, with what is wrong in its file."""

    errors: list[BadLine] = Field(description="Of its bad lines the first 200.")


class ColumnOut(Answer):
    """A column of a file, and what it is imported as."""

    name: str
    example: str
    target: str | None = Field(description="Null: it is not imported.")


class CompletionInFile(Answer):
    """A completion, as a file has it."""

    letter: str
    text: str


class SaidInFile(Answer):
    """What somebody said, as a file has it."""

    annotator: str
    words: str


class RecordOut(Answer):
    """A prompt of a file, its completions, and what people said about them."""

    messages: list[MessageOut]
    completions: list[CompletionInFile]
    said: list[SaidInFile]


class Preview(Answer):
    """What a file was taken for, and its first records as they would be imported."""

    columns: list[ColumnOut]
    targets: list[str] = Field(description="What a column of this format may be.")
    records: list[RecordOut]
    errors: list[BadLine] = Field(description="What is wrong with the first rows.")


class NewReading(Body):
    """What a file is to be taken for; what is left out or null stays as it is."""

    format: Format | None = Field(
        None, description="Another one brings columns of its own: look at the preview again."
    )
    columns: dict[Target, Column] | None = Field(
        None, description="By what it is: the column. A column that is not named is not imported."
    )
    annotator: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    asks: bool | None = None


class Start(Body):
    """How a file is imported."""

    leave_out_bad: bool = Field(False, description="Import the rest of a file with bad lines.")


def _project(call: Call, project_id: int) -> Project:
    return access.get_project_for(call.user, project_id, Role.OWNER, Role.ENGINEER)


@operations.get("projects/<int:project_id>/imports")
def list_imports(call: Call, project_id: int, query: ImportFilters) -> Page[ImportOut]:
    """List the files that were brought into a project. Its owners and engineers can."""
    found = selectors.imports_of(_project(call, project_id))
    if query.state is not None:
        found = found.filter(state=query.state)
    return page_of(found, query, lambda brought: ImportOut(**_values(brought)))


def _kept_aside(
    call: Call, project_id: int, query: FileName, file: Received
) -> AbstractContextManager[Callable[[], Import]]:
    project = _project(call, project_id)
    return services.arrived_file_kept_aside(project, query.name, file.path, file.sha256, call.user)


@operations.upload(
    "projects/<int:project_id>/imports",
    Scope.WRITE,
    largest=services.MAX_IMPORT_BYTES,
    check=_project,
    prepare=_kept_aside,
)
def upload_import(
    call: Call, project_id: int, query: FileName, file: Callable[[], Import]
) -> ImportWithErrors:
    """Send a file that is to be imported, in one request. Nothing is imported until it is started.

    Tables (JSONL, JSON, CSV, Parquet) and the formats of `format` are recognised: read the
    preview, correct what it was taken for, start it. What nobody starts or goes on with is removed
    after two weeks.
    """
    return _shown(file())


@operations.get("imports/<int:import_id>")
def get_import(call: Call, import_id: int) -> ImportWithErrors:
    """Show how far an import is, and what is wrong in its file, line by line."""
    return _shown(access.get_import_for(call.user, import_id))


@operations.get("imports/<int:import_id>/preview")
def preview_import(call: Call, import_id: int) -> Preview:
    """Show what a file was taken for, and its first records as they would be imported."""
    brought = access.get_import_for(call.user, import_id)
    _expect_file(brought)
    records, errors = services.preview_of(brought, most=RECORDS_SHOWN)
    target_of = {column: target for target, column in brought.columns.items()}
    return Preview(
        columns=[
            ColumnOut(name=name, example=example, target=target_of.get(name))
            for name, example in services.columns_of(brought).items()
        ],
        targets=list(FORMATS[brought.format].targets),
        records=[_record(record) for record in records],
        errors=[_bad_line(error) for error in errors],
    )


@operations.patch("imports/<int:import_id>", Scope.WRITE)
def change_import(call: Call, import_id: int, body: NewReading) -> ImportWithErrors:
    """Correct what a file was taken for, before it is started or after it was refused."""
    brought = access.get_import_for(call.user, import_id)
    _expect_file(brought)
    format = body.format or brought.format
    if format != brought.format and body.columns is not None:
        raise services.ServiceError(
            "Another format brings columns of its own. Change it first, look at the preview, then "
            "send the columns."
        )
    changed = services.change_reading(
        brought,
        format=format,
        columns=_columns(brought, body.columns),
        annotator=body.annotator or brought.annotator,
        asks=brought.asks if body.asks is None else body.asks,
    )
    return _shown(changed)


@operations.post("imports/<int:import_id>/start", Scope.WRITE)
def start_import(call: Call, import_id: int, body: Start) -> ImportWithErrors:
    """Let a file be checked as a whole and then imported. A second time changes nothing.

    A small file is often done when this is answered, though what a request with a key is answered
    was written before; others go on in the background. Ask for the import until its `state` is an
    end. The same file twice adds nothing.
    """
    brought = access.get_import_for(call.user, import_id)
    if brought.state == Import.State.CANCELLED:
        _expect_file(brought)
    services.start_import(brought, leave_out_bad=body.leave_out_bad)
    return _shown(access.get_import_for(call.user, import_id))


@operations.post("imports/<int:import_id>/cancel", Scope.WRITE)
def cancel_import(call: Call, import_id: int) -> ImportWithErrors:
    """Stop an import, or throw away a file that was never started. Its file goes.

    What was written until then stays.
    """
    services.cancel_import(access.get_import_for(call.user, import_id))
    return _shown(access.get_import_for(call.user, import_id))


def _expect_file(brought: Import) -> None:
    if brought.state in Import.OVER:
        raise services.ServiceError("This import is over and its file is gone. Send it again.")


def _columns(brought: Import, wanted: dict[Target, str] | None) -> dict[str, str]:
    """Return columns as the form of the page takes them, with its rules."""
    if wanted is None:
        return brought.columns
    there = services.columns_of(brought)
    numbers = {name: f"{COLUMN}{number}" for number, name in enumerate(there)}
    unseen = {name for name in brought.columns.values() if name not in there}
    fields: dict[str, str] = {}
    for target, name in wanted.items():
        if name not in numbers and name not in unseen:
            raise services.ServiceError(
                f"There is no column {name}. There are: {', '.join(numbers) or 'none'}."
            )
        if name in numbers:
            fields[numbers[name]] = target
    form = ReadingForm(brought, there, {"format": brought.format, **fields})
    if not form.is_valid():
        raise services.ServiceError(
            " ".join(str(text) for texts in form.errors.values() for text in texts)
        )
    # Of those, too, that the first rows lack: the form leaves them as they are.
    return {str(target): name for target, name in wanted.items()}


def _record(record: Record) -> RecordOut:
    return RecordOut(
        messages=[MessageOut(role=one["role"], content=one["content"]) for one in record.messages],
        completions=[
            CompletionInFile(letter=letter_of(place), text=one.text)
            for place, one in enumerate(record.candidates, start=1)
        ],
        said=[
            SaidInFile(annotator=said.annotator, words=services.said_in_words(said))
            for said in record.said
        ],
    )


def _bad_line(error: LineError) -> BadLine:
    return BadLine(line=error.line, message=error.message)


def _shown(brought: Import) -> ImportWithErrors:
    return ImportWithErrors(**_values(brought), errors=[BadLine(**bad) for bad in brought.bad])


def _values(brought: Import) -> dict[str, Any]:
    known = set(ImportOut.model_fields) - {"bad_lines"}
    values = {name: getattr(brought, name) for name in known}
    return {**values, "bad_lines": brought.bad_count}
