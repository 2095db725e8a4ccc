"""Exports as files, written on the way out: no more than a few thousand rows are held at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from annotations.exports import everything, label_config, label_studio, trl
from annotations.exports.state import one_state
from annotations.models import Kind, Project

ROWS_AT_ONCE = 500
"""Rows in one piece that is sent, and in one row group of Parquet."""


@dataclass(frozen=True)
class Export:
    """Something that a project can give away."""

    label: str
    help: str
    rows: Callable[[Project], Iterator[dict[str, Any]]]
    formats: tuple[str, ...] = ("jsonl", "parquet")
    kind: str = ""
    """The only kind of work that it is of, if it is."""


def _of_kind(kind: Kind) -> Export:
    return Export(
        f"Label Studio, {kind.label.lower()}",
        "Tasks of this kind alone, as a project there wants them, and the labelling configuration "
        "(xml) that shows them.",
        partial(label_studio.label_studio_tasks, kind=kind.value),
        ("json", "xml"),
        kind,
    )


EXPORTS: dict[str, Export] = {
    "label-studio": Export(
        "Label Studio",
        "Tasks with the annotations that count, as Label Studio imports them. Imported here again "
        "they add nothing.",
        label_studio.label_studio_tasks,
        ("json",),
    ),
    **{f"label-studio-{kind.value}": _of_kind(kind) for kind in label_studio.KINDS},
    "annotations": Export(
        "Everything",
        "Every annotation with all that is known of it: superseded, taken back and recalled ones, "
        "too, and which are.",
        everything.all_annotations,
        ("jsonl",),
    ),
    "sft-messages": Export(
        "SFT, messages",
        "Conversations that end in an ideal answer.",
        lambda project: trl.sft_messages(project.pk),
    ),
    "sft-prompt-completion": Export(
        "SFT, prompt and completion",
        "Prompts with their ideal answers.",
        lambda project: trl.sft_prompt_completion(project.pk),
    ),
    "preference": Export(
        "Preference pairs",
        "Prompt, chosen and rejected, with the margin: for reward models, DPO and its kin.",
        lambda project: trl.preference_pairs(project.pk),
    ),
    "unpaired": Export(
        "Unpaired preference",
        "Completions that were found good or bad: for KTO.",
        lambda project: trl.unpaired(project.pk),
    ),
    "prompts": Export(
        "Prompts",
        "Prompts alone: for GRPO and RLOO.",
        lambda project: trl.prompt_only(project.pk),
    ),
}


MEDIA_TYPES = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "xml": "application/xml",
}


def exports_of(project: Project) -> list[tuple[str, Export]]:
    """Return what a project can give away: of single kinds of work those that it has."""
    kinds = {"", *project.items.order_by().values_list("kind", flat=True).distinct()}
    return [(name, export) for name, export in EXPORTS.items() if export.kind in kinds]


def export_name(project: Project, name: str, format: str) -> str:
    """Return what the file of an export is called."""
    return f"project-{project.pk}-{name}.{format}"


def write_export(project: Project, name: str, format: str) -> Iterator[bytes]:
    """Yield the bytes of an export, all of them of one state of the database."""
    with one_state():
        rows = EXPORTS[name].rows(project)
        match format:
            case "jsonl":
                yield from _lines(rows)
            case "json":
                yield from _array(rows)
            case "parquet":
                yield from _parquet(rows, name)
            case "xml":
                yield label_config.label_config(project, EXPORTS[name].kind).encode()
            case _:
                raise ValueError(f"{name} is not written as {format!r}.")


def _lines(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    found = iter(rows)
    while piece := list(islice(found, ROWS_AT_ONCE)):
        yield "".join(f"{_json(row)}\n" for row in piece).encode()


def _array(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    between = b"["
    for row in rows:
        yield between + b"\n" + _json(row).encode()
        between = b","
    yield b"\n]\n" if between == b"," else b"[]\n"


def _json(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def _parquet(rows: Iterable[dict[str, Any]], name: str) -> Iterator[bytes]:
    # Only who asks for such a file pays for the library.
    import pyarrow
    from pyarrow import parquet

    schema = _schema(name)
    sink = _Sink()
    found = iter(rows)
    with parquet.ParquetWriter(pyarrow.PythonFile(sink, mode="w"), schema) as writer:
        while piece := list(islice(found, ROWS_AT_ONCE * 4)):
            writer.write_table(pyarrow.Table.from_pylist(piece, schema=schema))
            yield sink.taken()
    yield sink.taken()


class _Sink:
    """A file that keeps what is written until it is sent on."""

    closed = False

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.length = 0

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self.pieces.append(piece)
        self.length += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self.length

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        pieces, self.pieces = self.pieces, []
        return b"".join(pieces)


def _schema(name: str) -> Any:
    """Return the columns of an export: the same for no row as for a million."""
    import pyarrow as pa

    messages = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    source = [
        ("split", pa.string()),
        ("prompt_id", pa.int64()),
        ("annotation_id", pa.int64()),
        ("annotator", pa.string()),
        ("guideline_version", pa.int64()),
    ]
    origin = [*source, ("kind", pa.string()), ("fixes", pa.int64())]
    columns = {
        "sft-messages": [("messages", messages), *origin],
        "sft-prompt-completion": [("prompt", messages), ("completion", messages), *origin],
        "preference": [
            ("prompt", messages),
            ("chosen", messages),
            ("rejected", messages),
            ("margin", pa.float64()),
            ("strength", pa.string()),
            *source,
        ],
        "unpaired": [
            ("prompt", messages),
            ("completion", messages),
            ("label", pa.bool_()),
            *source,
        ],
        "prompts": [("prompt", messages), ("split", pa.string()), ("prompt_id", pa.int64())],
    }
    return pa.schema(columns[name])
