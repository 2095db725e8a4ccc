"""Which cases of guidelines a reward model has still to score."""

from __future__ import annotations

from typing import Any

from annotations import exports
from training.models import CaseScore, Checkpoint, Run, Stage
from training.services.refusals import ServiceError


def policy_of(reward_model: Checkpoint) -> Checkpoint:
    """Return the checkpoint that a reward model was trained from: its base gives the tokenizer."""
    if reward_model.kind != Checkpoint.Kind.REWARD or reward_model.parent is None:
        raise ServiceError(f"{reward_model} is no reward model. Choose one.")
    return reward_model.parent


def rows_to_score(cases: list[exports.CaseRow], reward_model: Checkpoint) -> list[dict[str, Any]]:
    """Return the cases without a score, each once; refuse where there are none, or one waits."""
    digests = [case["digest"] for case in cases]
    known = set(
        CaseScore.objects.filter(checkpoint=reward_model, digest__in=digests).values_list(
            "digest", flat=True
        )
    )
    waiting = Run.objects.filter(
        stage=Stage.REPLAY,
        reward_checkpoint=reward_model,
        state__in=[Run.State.QUEUED, Run.State.RUNNING],
    )
    for run in waiting:
        known.update(row["digest"] for row in run.request["cases"])
    rows = {
        case["digest"]: {
            "digest": case["digest"],
            "prompt": case["prompt"],
            "texts": [case["first"], case["second"]],
        }
        for case in cases
        if case["digest"] not in known
    }
    if not rows:
        raise ServiceError(
            f"{reward_model} has scored every case, or a run is about to. Change a case first."
        )
    return list(rows.values())
