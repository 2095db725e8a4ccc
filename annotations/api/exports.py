"""What a project gives away, as files."""

from __future__ import annotations

from typing import Literal

from django.http import Http404
from pydantic import Field

from annotations import access, exports
from annotations.api.operations import Answer, Call, FileAnswer, Operations, Query
from annotations.models import Project

operations = Operations("Exports")

Content = Literal[
    "label-studio",
    "label-studio-demonstration",
    "label-studio-comparison",
    "label-studio-ranking",
    "label-studio-rating",
    "label-studio-rewrite",
    "label-studio-assembly",
    "annotations",
    "sft-messages",
    "sft-prompt-completion",
    "preference",
    "unpaired",
    "prompts",
]
Format = Literal["json", "jsonl", "parquet", "xml"]


class ExportOut(Answer):
    """Something that a project can give away."""

    content: Content
    title: str
    about: str
    formats: list[Format]


class Exports(Answer):
    """All that a project can give away."""

    exports: list[ExportOut]


class WantedExport(Query):
    """Which file."""

    content: Content
    format: Format = Field(description="Those that there are of a content, `exports` lists.")


@operations.get("projects/<int:project_id>/exports")
def list_exports(call: Call, project_id: int) -> Exports:
    """List what can be downloaded of a project, and in which formats.

    Of single kinds of work those that the project has.
    """
    project = _project(call, project_id)
    return Exports(
        exports=[
            ExportOut.model_validate(
                {
                    "content": name,
                    "title": one.label,
                    "about": one.help,
                    "formats": list(one.formats),
                }
            )
            for name, one in exports.exports_of(project)
        ]
    )


@operations.download("projects/<int:project_id>/export", *exports.MEDIA_TYPES.values())
def download_export(call: Call, project_id: int, query: WantedExport) -> FileAnswer:
    """Download an export, all of it of one moment, while people go on. People are pseudonyms.

    Owners and engineers of the project can. Nothing is to be waited for: it is sent while it is
    written, however large the project is, and so can't say beforehand how long it is.
    """
    project = _project(call, project_id)
    if query.format not in exports.EXPORTS[query.content].formats:
        formats = " or ".join(exports.EXPORTS[query.content].formats)
        raise Http404(f"{query.content} is not written as {query.format}, but as {formats}.")
    return FileAnswer(
        exports.export_name(project, query.content, query.format),
        exports.MEDIA_TYPES[query.format],
        exports.write_export(project, query.content, query.format),
    )


def _project(call: Call, project_id: int) -> Project:
    return access.get_project_for(call.user, project_id, *access.READING)
