"""What a round does by itself, act by act: as a person would, with the settings of the last round.

The seed moves on by one from round to round: a policy that was kept back would write the same
completions again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from training import selectors
from training.models import Automation, Checkpoint, Round, Run, Stage
from training.next_act import ActName
from training.pipeline.presets import find_preset
from training.services.checkpoints import promote_checkpoint
from training.services.refusals import CONTENT_OF, SCORED
from training.services.rounds import close_round, open_round
from training.services.runs import request_completions, start_evaluation, start_run, start_suite
from training.services.snapshots import freeze_snapshot

if TYPE_CHECKING:
    from annotations.models import User

PROMPTS, COMPLETIONS = 100, 4
"""What the first round asks for, as the form on a checkpoint's page suggests it."""
MEASURED = 64
"""On how many prompts the first suite measures, as its form suggests."""


def carry_out(act: ActName, automation: Automation, opened: Round | None, driver: User) -> None:
    """Do one act in the name of `driver`; raise ServiceError where it is refused."""
    if opened is None:
        begun = open_round(automation.project)
        Round.objects.filter(id=begun.pk, ended_at=None).update(driven_by=driver)
        return
    match act:
        case "ask":
            _ask(automation, opened, driver)
        case "reward":
            _train(automation, opened, driver, Stage.REWARD, "reward_run")
        case "policy":
            stage = selectors.policy_stage(opened.project)
            _train(automation, opened, driver, stage, "policy_run")
        case "evaluate":
            _evaluate(opened, driver)
        case "measure":
            _measure(opened, driver)
        case "promote":
            assert opened.evaluation is not None  # what the gate was asked about
            promote_checkpoint(
                opened.evaluation.child,
                promoted_by=driver,
                reason=f"{opened} went on by itself, and every condition of the gate was met.",
                evaluation=opened.evaluation,
            )
        case "keep_back":
            assert opened.evaluation is not None  # what the gate was asked about
            refusal = selectors.gate_refusal(opened.evaluation.child, opened.evaluation)
            close_round(opened.project, decision=f"Kept back by itself. {refusal}")


def _ask(automation: Automation, opened: Round, driver: User) -> None:
    last = _last(opened, "sample_run")
    config = _config(automation, Stage.SAMPLE, last)
    count = len(last.request["prompt_ids"]) if last else PROMPTS
    request_completions(
        opened.project,
        checkpoint=opened.policy,
        prompts=selectors.least_covered(opened.project, ("train", "validation"), count),
        completions_per_prompt=config.pop("completions_per_prompt", COMPLETIONS),
        kind=last.request["kind"] if last else "ranking",
        started_by=driver,
        config=config,
        reward_checkpoint=last.reward_checkpoint if last else None,
    )


def _train(automation: Automation, opened: Round, driver: User, stage: Stage, field: str) -> None:
    """Freeze what the stage learns from, as it stands now, and train on it."""
    last = _last(opened, field)
    last = last if last is not None and last.stage == stage else None
    seen = last.snapshot if last else None
    snapshot = freeze_snapshot(
        opened.project,
        CONTENT_OF[stage],
        created_by=driver,
        seed=seen.seed if seen else 0,
        filters=seen.filters if seen else None,
    )
    start_run(
        opened.project,
        stage,
        _config(automation, stage, last),
        parent=opened.policy,
        snapshot=snapshot,
        reward_checkpoint=_reward_model(opened) if stage in SCORED else None,
        started_by=driver,
    )


def _reward_model(opened: Round) -> Checkpoint | None:
    """Return the reward model that the round trained, else the newest there is."""
    run = opened.reward_run
    if run is not None and run.state == Run.State.SUCCEEDED:
        return run.checkpoint
    return selectors.newest_reward_model(opened.project)


def _evaluate(opened: Round, driver: User) -> None:
    assert opened.policy_run is not None  # it made what is evaluated
    last = selectors.last_round_with(opened.project, "evaluation")
    run = last.evaluation.run if last and last.evaluation else None
    config = _moved_on(run.config) if run else {}
    start_evaluation(
        opened.project,
        child=opened.policy_run.checkpoint,
        parent=opened.policy,
        limit=len(run.request["prompt_ids"]) if run else None,
        pairs_per_prompt=config.pop("completions_per_prompt", 1),
        started_by=driver,
        config=config,
        reward_checkpoint=run.reward_checkpoint if run else None,
        tries_cases=False,  # the suite does, which follows
    )


def _measure(opened: Round, driver: User) -> None:
    """Start the suite as it was run last: in a round, else by whomever."""
    assert opened.policy_run is not None  # it made what is measured
    child = opened.policy_run.checkpoint
    last = _last(opened, "suite_run") or selectors.suites_of(opened.project).first()
    start_suite(
        opened.project,
        child=child,
        parent=opened.policy,
        reward_checkpoint=_reward_model(opened),
        split=last.request.get("split", "test") if last else "test",
        limit=len(last.request["prompt_ids"]) if last else MEASURED,
        config=_moved_on(last.config) if last else {},
        started_by=driver,
    )


def _config(automation: Automation, stage: Stage, last: Run | None) -> dict[str, Any]:
    """Return the settings of a stage: the last round's, or those of the chosen preset."""
    if automation.settings_from == Automation.SettingsFrom.LAST:
        return _moved_on(last.config) if last else {}
    preset = find_preset(stage, automation.settings_from)
    return dict(preset.values) if preset else {}


def _moved_on(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "seed": config.get("seed", 0) + 1}


def _last(opened: Round, field: str) -> Run | None:
    last = selectors.last_round_with(opened.project, field)
    found: Run | None = getattr(last, field) if last else None
    return found
