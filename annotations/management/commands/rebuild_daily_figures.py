"""Reckon the figures of the dashboards from the beginning."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from annotations import services
from annotations.models import Project


class Command(BaseCommand):
    help = "Reckon the daily figures of all projects again, from annotations and the ledger."

    def handle(self, *args: Any, **options: Any) -> None:
        for project in Project.objects.order_by("id"):
            services.rebuild_daily_figures(project)
            self.stdout.write(f"{project}: {project.daily_work.count():,} rows.")
