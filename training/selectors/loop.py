"""Where the loop stands: its stages, each with its numbers and the one next act."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from annotations.algorithms.winrate import WinRate
from training import suite_table
from training.models import Checkpoint, DatasetSnapshot, Round, Run, Stage
from training.selectors.checkpoints import promoted_checkpoint
from training.selectors.evaluations import (
    BatchProgress,
    batch_progress,
    certain,
    evaluation_result,
    needs_nobody,
    share,
)
from training.selectors.gate import gate_refusal
from training.selectors.rounds import judges_round, open_round

if TYPE_CHECKING:
    from annotations.models import Project, User


Content = DatasetSnapshot.Content


@dataclass(frozen=True)
class NextAction:
    """The one thing to do next: a url name with its arguments. POST ones need a form."""

    url_name: str
    args: tuple[int, ...]
    label: str
    method: Literal["get", "post"] = "get"
    query: dict[str, str] = field(default_factory=dict)


StepName = Literal[
    "start", "prompts", "comparisons", "reward", "policy", "suite", "evaluation", "promotion"
]


@dataclass(frozen=True)
class Step:
    """One stage of the loop as the loop page shows it."""

    name: StepName
    title: str
    state: Literal["done", "current", "waiting", "failed"]
    numbers: dict[str, int | float | str] = field(default_factory=dict)
    """Label → figure, in the order to show them."""
    next_action: NextAction | None = None
    note: str = ""
    run: Run | None = None


START = {
    "sft": "Start supervised fine-tuning",
    "reward": "Start a reward model",
    "ppo": "Start PPO",
    "dpo": "Start DPO",
    "kto": "Start KTO",
    "grpo": "Start GRPO",
    "rloo": "Start RLOO",
    "rejection": "Start rejection sampling",
}
LEARN_FROM_JUDGEMENTS = (Stage.DPO, Stage.KTO)
"""Stages that make a policy without a reward model."""
TITLES: dict[StepName, str] = {
    "start": "First policy",
    "prompts": "Prompts answered",
    "comparisons": "Comparisons",
    "reward": "Reward model",
    "policy": "Policy",
    "suite": "Suite",
    "evaluation": "Evaluation",
    "promotion": "Promotion",
}


def loop_status(project: Project, user: User) -> list[Step]:
    """Return the stages of the open round (or of the start), each with its numbers and next act."""
    opened = open_round(project)
    policy = promoted_checkpoint(project)
    if policy is None:
        return [_start(project), *_waiting("prompts")]
    started = Step("start", TITLES["start"], "done", {"Promoted": policy.name})
    if opened is None:
        action = NextAction("training:open_round", (project.pk,), "Open the next round", "post")
        step = Step("prompts", TITLES["prompts"], "current", {}, action, _last_decision(project))
        return [started, step, *_waiting("comparisons")]
    steps = [started]
    for build in (_prompts, _comparisons, _reward, _policy, _suite, _evaluation, _promotion):
        step = build(project, opened)
        steps.append(step)
        if step.state != "done" and step.name != "suite":  # beside it people compare
            break
    following = len(steps)
    return [*steps, *(Step(name, TITLES[name], "waiting") for name in list(TITLES)[following:])]


def _start(project: Project) -> Step:
    """Return the way from an empty project to a first promoted policy."""

    def step(note: str, action: NextAction, run: Run | None = None, state: Any = "current") -> Step:
        return Step("start", TITLES["start"], state, {}, action, note, run)

    if not project.checkpoints.exists():
        action = NextAction("training:checkpoints", (project.pk,), "Register a base model")
        return step("Everything starts from a base model.", action)
    policy = project.checkpoints.filter(kind=Checkpoint.Kind.POLICY).first()
    if policy is not None:
        action = NextAction("training:checkpoint", (policy.pk,), f"Promote {policy}")
        return step(f"{policy} is trained and waits to be promoted.", action, policy.run)
    run = project.runs.filter(stage=Stage.SFT).first()
    if run is not None and run.state in (Run.State.QUEUED, Run.State.RUNNING):
        return step(f"{run} is {run.state}.", _watch(run), run)
    if not project.snapshots.filter(content=Content.DEMONSTRATIONS).exists():
        if not project.items.filter(kind="demonstration", annotations__isnull=False).exists():
            action = NextAction("annotations:project", (project.pk,), "Write demonstrations")
            return step("Nobody has written a demonstration yet; a model learns from them.", action)
        action = NextAction("training:snapshots", (project.pk,), "Freeze demonstrations")
        return step("Collect demonstrations, then freeze them.", action)
    failed = run is not None and run.state == Run.State.FAILED
    note = run.error if run is not None and failed else "The demonstrations are frozen."
    return step(note, _new_run(project, "sft"), run, "failed" if failed else "current")


def _prompts(project: Project, opened: Round) -> Step:
    action = NextAction("training:checkpoint", (opened.policy_id,), "Ask for completions")
    numbers: dict[str, int | float | str] = {"Round": opened.number, "Policy": opened.policy.name}
    run = opened.sample_run
    if run is not None and run.state == Run.State.SUCCEEDED:
        for label, name in (("Completions", "completions"), ("Items", "items")):
            numbers[label] = run.results.get(name, 0)
    note = f"{opened.policy} answers prompts, several times each."
    return _run_step("prompts", run, numbers, action, note)


def _comparisons(project: Project, opened: Round) -> Step:
    assert opened.sample_run is not None
    progress = batch_progress(project, opened.sample_run.request.get("batch", ""))
    skipped = "comparisons" in opened.skipped
    begun = opened.reward_run is not None or _needs_no_reward_model(opened)
    if progress.is_complete or begun or skipped:
        early = "" if progress.is_complete else "Training was started before all were in."
        return Step("comparisons", TITLES["comparisons"], "done", _answered(progress), note=early)
    return Step(
        "comparisons",
        TITLES["comparisons"],
        "current",
        _answered(progress),
        NextAction("training:snapshots", (project.pk,), "Freeze what there is")
        if progress.answered
        else NextAction("annotations:project", (project.pk,), "Label"),
        "People compare the completions, blind.",
    )


def _needs_no_reward_model(opened: Round) -> bool:
    """Return whether the round's policy learns, or has learnt, from the judgements themselves."""
    run = opened.policy_run
    hopeless = (Run.State.FAILED, Run.State.CANCELLED)
    return run is not None and run.stage in LEARN_FROM_JUDGEMENTS and run.state not in hopeless


def _reward(project: Project, opened: Round) -> Step:
    if opened.reward_run is None and _needs_no_reward_model(opened):
        assert opened.policy_run is not None
        note = f"{opened.policy_run} learns from the judgements themselves and needs none."
        return Step("reward", TITLES["reward"], "done", note=note)
    if "reward" in opened.skipped:
        note = "Skipped: the round goes on with the reward model before."
        return Step("reward", TITLES["reward"], "done", note=note, run=opened.reward_run)
    action = _train(project, opened, Content.PREFERENCES, "reward")
    numbers: dict[str, int | float | str] = {}
    if opened.reward_run is not None and "heldout_accuracy" in opened.reward_run.results:
        numbers["Held-out accuracy"] = share(opened.reward_run.results["heldout_accuracy"])
        numbers["Held-out pairs"] = opened.reward_run.results.get("heldout_pairs", 0)
    note = "A reward model learns what people prefer."
    return _run_step("reward", opened.reward_run, numbers, action, note)


def _policy(project: Project, opened: Round) -> Step:
    action = _train(project, opened, Content.PROMPTS, "ppo")
    numbers: dict[str, int | float | str] = {}
    run = opened.policy_run
    if run is not None:
        for label, name in (
            ("KL", "kl"),
            ("Score before", "score_before"),
            ("after", "score_after"),
        ):
            value = run.results.get(name)
            if isinstance(value, int | float):
                numbers[label] = round(value, 2)
    return _run_step("policy", run, numbers, action, "PPO improves the policy on that reward.")


def _suite(project: Project, opened: Round) -> Step:
    """Return the suite. A round that is driven by hand does not wait for it."""
    child = _child(opened)
    if "suite" in opened.skipped:
        note = "Skipped: the gate is read without it."
        return Step("suite", TITLES["suite"], "done", note=note, run=opened.suite_run)
    action = NextAction("training:suites", (child.pk,), "Run the suite")
    note = f"{child} is measured beside {opened.policy}, by itself, and tried on regression cases."
    if opened.suite_run is None:
        return Step("suite", TITLES["suite"], "waiting", {}, action, note)
    numbers = suite_numbers(opened.suite_run.results)
    return _run_step("suite", opened.suite_run, dict(numbers), action, note)


def suite_numbers(results: Mapping[str, Any]) -> dict[str, str]:
    """Return what a suite says first: reward, KL, and the regression cases.

    >>> suite_numbers({"cases_passed": 2, "cases_failed": 1})
    {'Regression cases passed': '2 of 3'}
    """
    rows = {row.label: row for row in suite_table.rows(results)}
    numbers = {}
    if reward := rows.get("Reward"):
        numbers["Reward"] = f"{reward.difference}, {reward.interval}"
    if wins := results.get("win_rate"):
        numbers["Win rate by the reward model"] = share(wins["rate"])
    if kl := rows.get("KL to the base"):
        numbers["KL to the base"] = kl.child
    if "cases_passed" in results:
        tried = results["cases_passed"] + results["cases_failed"]
        numbers["Regression cases passed"] = f"{results['cases_passed']} of {tried}"
    return numbers


def _child(opened: Round) -> Checkpoint:
    assert opened.policy_run is not None
    child = Checkpoint.objects.filter(run=opened.policy_run).first()
    assert child is not None  # written in the transaction in which the run succeeded
    return child


def _evaluation(project: Project, opened: Round) -> Step:
    child = _child(opened)
    action = NextAction("training:checkpoint", (child.pk,), f"Compare with {opened.policy}")
    note = f"{child} answers held-out prompts against {opened.policy}, blind."
    evaluation = opened.evaluation
    step = _run_step("evaluation", evaluation.run if evaluation else None, {}, action, note)
    if evaluation is None or step.state != "done":
        return step
    progress = batch_progress(project, evaluation.batch)
    numbers = {**_answered(progress), **_win_rate_numbers(evaluation_result(evaluation))}
    found = certain(evaluation)
    if found.equal_texts:
        numbers["Of them equal texts"] = found.equal_texts
    if empty := found.empty_won + found.empty_lost:
        numbers["Of them empty answers"] = empty
    label = NextAction("annotations:project", (project.pk,), "Label")
    if progress.is_complete or needs_nobody(evaluation):
        return Step("evaluation", TITLES["evaluation"], "done", numbers, run=evaluation.run)
    return Step("evaluation", TITLES["evaluation"], "current", numbers, label, note, evaluation.run)


def _promotion(project: Project, opened: Round) -> Step:
    assert opened.evaluation is not None
    child = opened.evaluation.child
    refusal = gate_refusal(child, opened.evaluation)
    verb = "Decide on" if refusal else "Promote"
    action = NextAction("training:checkpoint", (child.pk,), f"{verb} {child}")
    note = refusal or "The interval lies above one half."
    return Step("promotion", TITLES["promotion"], "current", {}, action, note)


def _run_step(
    name: StepName,
    run: Run | None,
    numbers: dict[str, int | float | str],
    action: NextAction,
    note: str,
) -> Step:
    """Return the step that one run carries out: to be started, under way, ended."""
    title = TITLES[name]
    if run is None:
        return Step(name, title, "current", numbers, action, note)
    if run.state == Run.State.SUCCEEDED:
        return Step(name, title, "done", numbers, run=run)
    if run.state in Run.TERMINAL:
        note = run.error or f"{run} was cancelled."
        return Step(name, title, "failed", numbers, action, note, run)
    numbers = (
        {**numbers, "Step": f"{run.step} of {run.total_steps}"} if run.total_steps else numbers
    )
    return Step(name, title, "current", numbers, _watch(run), run.phase or f"{run.state}", run)


def _train(project: Project, opened: Round, content: Content, stage: str) -> NextAction:
    """Return the way to a run of a stage, by way of a snapshot if this round has none yet."""
    fresh = project.snapshots.filter(content=content)
    if content == Content.PREFERENCES:
        fresh = fresh.filter(created_at__gte=opened.created_at)
        for snapshot in fresh:
            if judges_round(snapshot, opened):
                return _new_run(project, stage, snapshot=str(snapshot.pk))
    elif fresh.exists():
        return _new_run(project, stage)
    return NextAction("training:snapshots", (project.pk,), f"Freeze {content}")


def _new_run(project: Project, stage: str, **chosen: str) -> NextAction:
    query = {"stage": stage, **chosen}
    return NextAction("training:new_run", (project.pk,), START[stage], query=query)


def _watch(run: Run) -> NextAction:
    return NextAction("training:run", (run.pk,), f"Watch run {run.pk}")


def _waiting(first: StepName) -> list[Step]:
    names = list(TITLES)
    return [Step(name, TITLES[name], "waiting") for name in names[names.index(first) :]]


def _last_decision(project: Project) -> str:
    last = Round.objects.filter(project=project).first()
    return f"{last}: {last.decision}" if last else ""


def _answered(progress: BatchProgress) -> dict[str, int | float | str]:
    return {"Answered": f"{progress.answered} of {progress.items}"}


def _win_rate_numbers(result: WinRate) -> dict[str, int | float | str]:
    if not result.n:
        return {}
    return {
        "Win rate": share(result.rate),
        "95 % interval": f"{share(result.low)} to {share(result.high)}",
        "Votes": result.n,
    }
