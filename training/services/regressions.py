"""Trying a checkpoint on the prompts of tickets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from annotations import exports
from training import artifacts, selectors
from training.models import Checkpoint, Run, Stage
from training.pipeline.config import AnyConfig
from training.services.refusals import ServiceError, check_checkpoint, check_reward_model, parse

if TYPE_CHECKING:
    from annotations.models import Project

LEAST_NEW_TOKENS, MOST_NEW_TOKENS = 48, 512
CHARS_PER_TOKEN = 3
"""Fewer than most texts have, so that an answer as long as the rewrite finds its end."""


@dataclass(frozen=True)
class Trial:
    """What a run on regression cases is asked for."""

    config: AnyConfig
    scorer: Checkpoint | None
    request: dict[str, Any]


def prepare(checkpoint: Checkpoint) -> Trial:
    """Return how a checkpoint is tried on every case that can be, or say why on none.

    Cases that a reward model decides take the newest of the same base; where there is none they
    are left out, and stay untried.
    """
    project = checkpoint.project
    check_checkpoint(project, checkpoint, "try on regression cases")
    cases = selectors.regression_cases(project)
    if not cases:
        raise ServiceError(
            "There are no regression cases yet. A reported answer becomes one when it is rewritten."
        )
    scorer = _scorer(checkpoint) if any(case["kind"] == "reward" for case in cases) else None
    tried = _decidable(cases, scorer)
    if not tried:
        raise ServiceError(
            "All regression cases are decided by a reward model, and there is none of the base of "
            f"{checkpoint}. Train one, or give the cases another check."
        )
    settings = {
        "completions_per_prompt": max(case["answers"] for case in tried),
        "max_new_tokens": _tokens(tried),
    }
    request = {
        "prompt_ids": sorted({case["prompt_id"] for case in tried}),
        "kind": "regression",
        "purpose": "regression",
        "cases": tried,
    }
    return Trial(parse(Stage.SAMPLE, settings), scorer, request)


def for_suite(project: Project, scorer: Checkpoint | None) -> dict[str, Any]:
    """Return what a suite is asked for, so that it tries every case that it can decide."""
    tried = _decidable(selectors.regression_cases(project), scorer)
    return {"cases": tried, "case_tokens": _tokens(tried)} if tried else {}


def is_seen_to(checkpoint: Checkpoint) -> bool:
    """Return whether a checkpoint was tried on every case by its present check, or will be."""
    under_way = checkpoint.runs_from.filter(state__in=(Run.State.QUEUED, Run.State.RUNNING))
    coming = {
        (case["case_id"], case["version"])
        for request in under_way.values_list("request", flat=True)
        for case in request.get("cases", [])
    }
    return all(
        one.result is not None or (one.case["case_id"], one.case["version"]) in coming
        for one in selectors.checked_cases(checkpoint)
    )


def _decidable(
    cases: list[exports.RegressionRow], scorer: Checkpoint | None
) -> list[exports.RegressionRow]:
    return [case for case in cases if scorer is not None or case["kind"] != "reward"]


def _scorer(checkpoint: Checkpoint) -> Checkpoint | None:
    base = artifacts.base_of(checkpoint)
    models = checkpoint.project.checkpoints.filter(kind=Checkpoint.Kind.REWARD).order_by("-id")
    fitting = (model for model in models if artifacts.base_of(model).pk == base.pk)
    scorer = next(fitting, None)
    if scorer is not None:
        check_reward_model(checkpoint.project, Stage.SAMPLE, checkpoint, scorer)
    return scorer


def _tokens(cases: list[exports.RegressionRow]) -> int:
    longest = max(len(text) for case in cases for text in (case["reported"], case["rewrite"]))
    return min(MOST_NEW_TOKENS, max(LEAST_NEW_TOKENS, longest // CHARS_PER_TOKEN + 16))
