"""The Django app that turns feedback into models."""

from __future__ import annotations

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    """Training: snapshots, runs, checkpoints, rounds."""

    name = "training"
    verbose_name = "Training"

    def ready(self) -> None:
        """Hear of turns that wait for replies, and of cases that were published."""
        from annotations.signals import cases_published, replies_wanted
        from training import published_cases, tasks

        replies_wanted.connect(tasks.hint_replies, dispatch_uid="training.hint_replies")
        cases_published.connect(published_cases.replay, dispatch_uid="training.replay_cases")
