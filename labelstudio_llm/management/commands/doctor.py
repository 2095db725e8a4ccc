"""Say what is wrong with this installation, and what to do."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand

from labelstudio_llm.doctor import examine


class Command(BaseCommand):
    help = (
        "Look at every setting, the database, the broker, the workers, the artifact store, the "
        "disk and the models, and say what is wrong and what to do. Changes nothing. "
        "Exit status 1 where something is wrong."
    )
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        styles = {
            "ok": self.style.SUCCESS,
            "warning": self.style.WARNING,
            "wrong": self.style.ERROR,
        }
        counted: Counter[str] = Counter()
        for finding in examine():
            counted[finding.level] += 1
            level = styles[finding.level](f"{finding.level:8}")
            self.stdout.write(f"{level} {finding.subject:15} {finding.words}")
        self.stdout.write(
            f"\n{counted['wrong']} wrong, {counted['warning']} to look at, {counted['ok']} ok."
        )
        if counted["wrong"]:
            sys.exit(1)
