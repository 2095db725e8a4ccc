"""`manage.py export_checkpoint`: a policy as a plain model, without a worker."""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from training import artifacts, selectors, services, supervisor
from training.models import Checkpoint
from training.pipeline.config import ExportConfig


class Command(BaseCommand):
    """Merge a policy's adapter into its base, in a child process, and say where it lies."""

    help = "Merge a policy's adapter into its base: a plain model in safetensors."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("checkpoint", type=int, help="number of the checkpoint, as in its URL")
        parser.add_argument("folder", type=Path, help="where to write it; not there yet")
        parser.add_argument(
            "--half-precision",
            action="store_true",
            help="bfloat16: half the size, but small changes of the weights are rounded away",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        checkpoint = Checkpoint.objects.filter(id=options["checkpoint"]).first()
        if checkpoint is None:
            raise CommandError(f"There is no checkpoint {options['checkpoint']}.")
        folder: Path = options["folder"].resolve()
        if folder.exists():
            raise CommandError(f"{folder} is there already. Choose a folder that is not.")
        try:
            services.check_exportable(checkpoint)
        except services.ServiceError as error:
            raise CommandError(str(error)) from None
        config = ExportConfig(half_precision=options["half_precision"])
        with tempfile.TemporaryDirectory() as work_dir:
            job = artifacts.export_job(checkpoint, config, folder, work_dir)
            job = replace(job, card=selectors.model_card(checkpoint, merged=True))
            outcome = supervisor.run_child(
                job.to_dict(),
                on_event=self.tell,
                should_stop=lambda: None,
                command=getattr(settings, "TRAINING_COMMAND", supervisor.COMMAND),
            )
        if outcome.ending != "done":
            reason = outcome.message or f"it ended: {outcome.ending} {outcome.signal_name}"
            raise CommandError(f"Nothing was exported: {reason}")
        self.stdout.write(f"{checkpoint} lies in {folder}.")

    def tell(self, event: supervisor.Event) -> bool:
        """Print what the child does now."""
        if event["event"] == "phase":
            self.stdout.write(f"{event['phase']} …")
        return True
