"""The Django app that collects feedback."""

from __future__ import annotations

from django.apps import AppConfig


class AnnotationsConfig(AppConfig):
    """Collecting: projects, people, work, and what was said."""

    name = "annotations"
    verbose_name = "Collecting feedback"

    def ready(self) -> None:
        """Hear of imports that wait."""
        from annotations import tasks
        from annotations.signals import import_waits

        import_waits.connect(tasks.hint_import, dispatch_uid="annotations.hint_import")
