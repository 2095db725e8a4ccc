"""Pauses that the platform makes by itself, written into the audit log."""

from __future__ import annotations

from django.db import transaction

from annotations import services as collecting
from training.services.audit import record


def pause_flagged() -> None:
    """Pause whom flags are sure enough about, in the projects that want it; owners decide then."""
    for project in collecting.projects_that_pause():
        for flag in collecting.flags_that_pause(project):
            with transaction.atomic():
                pause = collecting.pause_by_flag(project, flag)
                if pause is not None:
                    facts = {"person": pause.person_id, "detector": pause.detector, "p": pause.p}
                    record(project, None, "made", pause, pause.evidence, facts | {"n": pause.n})
