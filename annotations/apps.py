"""The Django app that collects feedback."""

from __future__ import annotations

from django.apps import AppConfig
from django.urls import register_converter


class AnnotationsConfig(AppConfig):
    """Collecting: projects, people, work, and what was said."""

    name = "annotations"
    verbose_name = "Collecting feedback"

    def ready(self) -> None:
        """Know addresses that end in anything, and hear of imports that wait."""
        from annotations import tasks
        from annotations.converters import Anything
        from annotations.signals import import_waits

        register_converter(Anything, "anything")
        import_waits.connect(tasks.hint_import, dispatch_uid="annotations.hint_import")
