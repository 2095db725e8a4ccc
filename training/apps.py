"""The Django app that turns feedback into models."""

from __future__ import annotations

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    """Training: snapshots, runs, checkpoints, rounds."""

    name = "training"
    verbose_name = "Training"

    def ready(self) -> None:
        """Hear of turns that wait, of what is said, and of files to import."""
        from annotations import signals
        from annotations.signals import annotated, flag_decided, replies_wanted
        from training import brought_files, outbox, services, tasks

        replies_wanted.connect(tasks.hint_replies, dispatch_uid="training.hint_replies")
        annotated.connect(outbox.hear_annotated, dispatch_uid="training.hear_annotated")
        flag_decided.connect(outbox.hear_flag_decided, dispatch_uid="training.hear_flag_decided")
        signals.kind_decided.connect(
            services.hear_kind_decided, dispatch_uid="training.hear_kind_decided"
        )
        signals.member_changed.connect(
            services.hear_member_changed, dispatch_uid="training.hear_member_changed"
        )
        outbox.messages_wait.connect(tasks.hint_webhooks, dispatch_uid="training.hint_webhooks")
        signals.file_kept.connect(brought_files.keep, dispatch_uid="training.keep_file")
        signals.file_wanted.connect(brought_files.bring, dispatch_uid="training.bring_file")
        signals.file_removed.connect(brought_files.remove, dispatch_uid="training.remove_file")
