"""Settings of the workers that the fault tests start: scripted children, quick beats."""

from __future__ import annotations

import os

from labelstudio_llm.settings import *  # noqa: F403
from training.tests import scripted, scripted_replies

TRAINING_COMMAND = scripted.command(os.environ.get("SCRIPTED", "works"))
REPLIES_COMMAND = scripted_replies.command(os.environ.get("SCRIPTED_REPLIES", "answers"))
RUN_SILENCE_SECONDS = 4
# Shorter than the runs of the tests: these limits must not reach a run.
CELERY_TASK_SOFT_TIME_LIMIT = 1
CELERY_TASK_TIME_LIMIT = 2
CELERY_BEAT_SCHEDULE = {
    "send hints again": {"task": "training.dispatch_queued_runs", "schedule": 0.5},
    "send hints of waiting turns again": {
        "task": "training.dispatch_waiting_turns",
        "schedule": 0.5,
    },
    "take back lost runs": {"task": "training.find_lost_runs", "schedule": 0.5},
}
