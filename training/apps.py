"""The Django app that turns feedback into models."""

from __future__ import annotations

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    """Training: snapshots, runs, checkpoints, rounds."""

    name = "training"
    verbose_name = "Training"
