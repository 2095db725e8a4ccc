"""Make an installation what it was when a backup was made."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from labelstudio_llm.backups import BackupError, restore


class Command(BaseCommand):
    help = (
        "Verify a backup, then put its rows and files in place, on SQLite or PostgreSQL, whichever "
        "it was made on. Stop everything else first."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", help="where `manage.py backup` wrote to")
        parser.add_argument(
            "--replace",
            action="store_true",
            help="remove the rows that are here and move the files aside",
        )

    def handle(self, *args: Any, source: str, replace: bool, **options: Any) -> None:
        try:
            restored = restore(source, replace=replace)
        except BackupError as error:
            raise CommandError(str(error)) from error
        for note in restored.notes:
            self.stderr.write(note)
        self.stdout.write(
            f"{restored.rows:,} rows and {restored.files:,} files are as they were at "
            f"{restored.made_at} in version {restored.version}. Start the platform with the "
            "SECRET_KEY of that time."
        )
