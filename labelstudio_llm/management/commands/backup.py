"""Write the whole installation to one place."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from labelstudio_llm.backups import BackupError, back_up


class Command(BaseCommand):
    help = (
        "Write everything to one place: the database in one state, snapshots, checkpoints and base "
        "models, with the hash of every file. People and runs may go on meanwhile."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("target", help="a new folder, or an address that fsspec knows")

    def handle(self, *args: Any, target: str, **options: Any) -> None:
        began = time.monotonic()
        try:
            made = back_up(target)
        except BackupError as error:
            raise CommandError(str(error)) from error
        for folder in made.damaged:
            self.stderr.write(f"{folder} is not whole here, and so not in the backup either.")
        self.stdout.write(
            f"{made.rows:,} rows and {made.files:,} files, {made.bytes / 1e6:,.1f} MB, are in "
            f"{target} ({time.monotonic() - began:.1f} s). The hash of its manifest, which stands "
            f"for all of it: {made.sha256}\nSECRET_KEY is not in it: keep it elsewhere."
        )
