"""Import a file or a saved data set that lies on the server."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotations import services
from annotations.importers import FORMATS, TARGETS
from annotations.management.named import importer_of, project_of
from annotations.models import Import, Project, User

CHUNK_BYTES = 1024 * 1024


class Command(BaseCommand):
    help = (
        "Import a file of any format that the page takes, of any size, or a folder that Hugging "
        "Face save_to_disk wrote. A file with bad lines is not imported at all."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="the project's number or name")
        parser.add_argument("file", type=Path, help="the file, or the folder of a data set")
        parser.add_argument("--format", choices=list(FORMATS), help="if it is not recognised")
        parser.add_argument(
            "--column",
            action="append",
            default=[],
            metavar="WHAT=COLUMN",
            help=f"which column is what: {', '.join(TARGETS)}; without COLUMN, none is",
        )
        parser.add_argument("--annotator", help="who said what the file does not say who said")
        parser.add_argument(
            "--leave-out-bad", action="store_true", help="import without the bad lines"
        )
        parser.add_argument(
            "--ask-nobody",
            action="store_true",
            help="make no items of what nobody judged in the file",
        )
        parser.add_argument("--as-user", help="who imports (an owner of the project by default)")

    def handle(self, *args: Any, **options: Any) -> None:
        project = project_of(options["project"])
        user = importer_of(project, options["as_user"])
        path: Path = options["file"]
        brought = self._bring(project, path, user)
        try:
            brought = self._change(brought, options)
            services.start_import(brought, leave_out_bad=options["leave_out_bad"])
            brought = services.run_import(brought)
        except services.ServiceError as error:
            services.cancel_import(brought)
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            services.cancel_import(brought)
            raise CommandError("Stopped. What was imported until now stays.") from None
        self._tell(brought)

    def _bring(self, project: Project, path: Path, user: User) -> Import:
        try:
            if path.is_dir():
                return services.bring_folder(project, path, user)
            return services.bring_file(project, path.name, _chunks(path), user)
        except OSError as error:
            raise CommandError(f"{path} can't be read: {error.strerror}.") from None
        except services.ServiceError as error:
            raise CommandError(str(error)) from None

    def _change(self, brought: Import, options: dict[str, Any]) -> Import:
        """Correct what the file was taken for, as the options say."""
        named = dict(one.partition("=")[::2] for one in options["column"])
        format = options["format"] or brought.format
        if format != brought.format:
            brought = services.change_reading(
                brought, format=format, columns={}, annotator="", asks=True
            )
        # What somebody names is no longer what it was taken for.
        taken = {what: name for what, name in brought.columns.items() if name not in named.values()}
        return services.change_reading(
            brought,
            format=format,
            columns={what: name for what, name in {**taken, **named}.items() if name},
            annotator=options["annotator"] or brought.annotator,
            asks=not options["ask_nobody"],
        )

    def _tell(self, brought: Import) -> None:
        if brought.state == Import.State.DONE:
            written = brought.written
            self.stdout.write(
                f"Imported {brought.rows:,} rows: {written.get('annotations', 0):,} annotations, "
                f"{written.get('prompts', 0):,} prompts and {written.get('completions', 0):,} "
                f"completions are new; {written.get('duplicates', 0):,} annotations were there "
                "already."
            )
            return
        if brought.state == Import.State.CANCELLED:
            raise CommandError("Somebody stopped it. What was imported until then stays.")
        for bad in brought.bad:
            self.stderr.write(f"Line {bad['line']:,}: {bad['message']}")
        if brought.state == Import.State.REFUSED:
            columns = ", ".join(services.sample_of(brought).columns)
            services.cancel_import(brought)
            raise CommandError(
                f"Nothing was imported: {brought.bad_count:,} bad "
                f"line{'s' if brought.bad_count > 1 else ''}, the first above."
                + (f" Its columns are {columns}; --column says which is what." if columns else "")
            )
        services.cancel_import(brought)
        raise CommandError(brought.problem)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
