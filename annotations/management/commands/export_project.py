"""Write what a project gives away into a file."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotations import exports
from annotations.management.named import project_of


class Command(BaseCommand):
    help = "Write an export of a project into a file, as its page of exports does."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="the project's number or name")
        parser.add_argument("content", choices=list(exports.EXPORTS), help="what is written")
        parser.add_argument(
            "file", type=Path, help="where to, ending in .json, .jsonl, .parquet, .xml"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        project = project_of(options["project"])
        content, path = options["content"], options["file"]
        format = path.suffix.removeprefix(".")
        formats = exports.EXPORTS[content].formats
        if format not in formats:
            raise CommandError(f"{content} is written as {' or '.join(formats)}. Name the file so.")
        # Written aside: a file of this name is whole.
        aside = path.with_name(f".{path.name}.part")
        try:
            with aside.open("wb") as file:
                for piece in exports.write_export(project, content, format):
                    file.write(piece)
            aside.replace(path)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise CommandError(f"{path} can't be written: {error.strerror}.") from None
        self.stdout.write(f"Wrote {path} ({path.stat().st_size:,} bytes).")
