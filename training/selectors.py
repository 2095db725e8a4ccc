"""What the pages of training read: curves, progress, lineage, evaluations, the loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from django.db.models import Count, F, QuerySet
from django.db.models.functions import Now

from annotations import exports
from annotations.algorithms.confidence_sequence import (
    AnytimeInterval,
    anytime_interval,
    in_drawn_order,
    prompt_means,
)
from annotations.algorithms.winrate import WinRate, win_rate
from training import lifecycle
from training.models import Checkpoint, DatasetSnapshot, Evaluation, Promotion, Round, Run, Stage

if TYPE_CHECKING:
    from annotations.models import Item, Project, User

__all__ = ["AnytimeInterval", "WinRate"]

Content = DatasetSnapshot.Content

ANSWERED_SHARE = 0.95
"""Of an evaluation's items, how many must be answered before its interval decides anything.

The interval holds for a number of judgements fixed beforehand, so stopping at the first good
one would flatter; until then `result_so_far` decides. A few items are left over because everybody
skipped them.
"""
STEP_WORDS = {str(Stage.SAMPLE): "token"}
FELL_THROUGH = (Run.State.FAILED, Run.State.CANCELLED)
SCORES = {"tie": 0.5, "both_bad": 0.5}


@dataclass(frozen=True)
class RunProgress:
    """How far the phase of a run is: `done` of `total` things called `unit`; 0 of 0 if unknown.

    `eta_seconds` and `fraction` are None while nobody can know.
    """

    unit: str
    done: int
    total: int
    fraction: float | None
    eta_seconds: float | None
    elapsed_seconds: float | None


@dataclass(frozen=True)
class CheckpointRow:
    """One line of the list of checkpoints."""

    checkpoint: Checkpoint
    run: Run | None
    snapshot: DatasetSnapshot | None
    parent: Checkpoint | None
    is_promoted: bool
    results: dict[str, Any]


@dataclass(frozen=True)
class NextAction:
    """The one thing to do next: a url name with its arguments. POST ones need a form."""

    url_name: str
    args: tuple[int, ...]
    label: str
    method: Literal["get", "post"] = "get"
    query: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BatchProgress:
    """How many items of a batch there are, and how many have all their annotations."""

    items: int
    answered: int

    @property
    def is_complete(self) -> bool:
        """Return whether (nearly) everything is answered."""
        return self.items > 0 and self.answered >= self.items * ANSWERED_SHARE


StepName = Literal["start", "prompts", "comparisons", "reward", "policy", "evaluation", "promotion"]


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
    "evaluation": "Evaluation",
    "promotion": "Promotion",
}


def promoted_checkpoint(project: Project) -> Checkpoint | None:
    """Return the checkpoint that samples for the project, if one was promoted."""
    return promoted_checkpoint_of(project.pk)


def promoted_checkpoint_of(project_id: int) -> Checkpoint | None:
    """Return the checkpoint that samples for the project with this id."""
    newest = Promotion.objects.filter(project=project_id).select_related("checkpoint").first()
    return newest.checkpoint if newest else None


def checkpoint_that_replies(project_id: int) -> Checkpoint | None:
    """Return the promoted checkpoint, or before the first promotion the first base model."""
    bases = Checkpoint.objects.filter(project=project_id, kind=Checkpoint.Kind.BASE)
    return promoted_checkpoint_of(project_id) or bases.order_by("id").first()


def open_round(project: Project) -> Round | None:
    """Return the round that is open in the project.

    Its reward run is the newest that succeeded or may yet; one that failed or was cancelled counts
    only where there is no other.
    """
    related = ("policy", "sample_run", "reward_run", "policy_run", "evaluation__run")
    rounds = Round.objects.filter(project=project, ended_at=None)
    opened = rounds.select_related(*related).first()
    if opened and opened.reward_run and opened.reward_run.state in FELL_THROUGH:
        opened.reward_run = _earlier_reward_run(opened) or opened.reward_run
    return opened


def _earlier_reward_run(opened: Round) -> Run | None:
    alive = opened.project.runs.exclude(state__in=FELL_THROUGH)
    runs = alive.filter(stage=Stage.REWARD, created_at__gte=opened.created_at)
    for run in runs.select_related("snapshot"):
        if run.snapshot is not None and judges_round(run.snapshot, opened):
            return run
    return None


def judges_round(snapshot: DatasetSnapshot, opened: Round) -> bool:
    """Return whether the snapshot holds a judgement of completions sampled in the round."""
    sampled = opened.project.runs.filter(stage=Stage.SAMPLE, created_at__gte=opened.created_at)
    batches = [request.get("batch", "") for request in sampled.values_list("request", flat=True)]
    judgements = opened.project.items.filter(
        batch__in=batches, purpose="training", annotations__isnull=False
    ).values_list("annotations", flat=True)
    return not set(snapshot.annotation_ids).isdisjoint(judgements)


def run_curves(run: Run) -> dict[str, list[tuple[int, float]]]:
    """Return the run's metrics by name, each as points in the order of steps."""
    curves: dict[str, list[tuple[int, float]]] = {}
    points = run.metrics.order_by("name", "step").values_list("name", "step", "value")
    for name, step, value in points.iterator():
        curves.setdefault(name, []).append((step, value))
    return curves


def run_progress(run: Run) -> RunProgress:
    """Return how far the run is and how long the rest will take at the pace so far.

    The pace is that of this attempt alone: what came before a resume says nothing about it. Only
    steps have one; how long it takes to load a model or to measure it, nobody knows beforehand.
    """
    unit, done, total = run.phase_unit, run.phase_done, run.phase_total
    eta = None
    if not unit:
        done = total = 0
    elif unit == "step":
        unit, done, total = STEP_WORDS.get(run.stage, unit), run.step, run.total_steps
        eta = _time_left(run)
    return RunProgress(unit, done, total, done / total if total else None, eta, _elapsed(run))


def _time_left(run: Run) -> float | None:
    done = run.step - run.first_step
    if run.state != Run.State.RUNNING or done <= 0 or run.step >= run.total_steps:
        return None
    if run.first_step_at is None or run.heartbeat_at is None:
        return None
    took = (run.heartbeat_at - run.first_step_at).total_seconds()
    return max(0.0, took / done * (run.total_steps - run.step))


@dataclass(frozen=True)
class Waiting:
    """A run's place in line, and why it has not begun."""

    run: Run
    place: int
    why: str
    is_stuck: bool
    """Nobody has taken it although its turn has come."""


def waiting_runs(project: Project) -> list[Waiting]:
    """Return the project's queued runs in the order in which they will go, each with its reason.

    The workers serve all projects, so a run may wait for one that its people do not see.
    """
    found = []
    for queue in sorted(set(lifecycle.QUEUES.values())):
        before: Run | None = None
        for place, run in enumerate(lifecycle.in_line(queue), 1):
            if run.project_id == project.pk:
                found.append(_waiting_run(run, place, before, queue))
            before = run
    return found


def _waiting_run(run: Run, place: int, before: Run | None, queue: str) -> Waiting:
    if before is not None:
        reason = "has a higher priority" if before.priority > run.priority else "came first"
        return Waiting(run, place, f"{_as_seen(before, run)} goes before it: it {reason}", False)
    stages = [stage for stage, name in lifecycle.QUEUES.items() if name == queue]
    busy = Run.objects.filter(state=Run.State.RUNNING, stage__in=stages).order_by("id").first()
    if busy is not None:
        device = f" on {busy.device}" if busy.device else ""
        why = f"{_as_seen(busy, run)} runs{device}: one run at a time on each device"
        return Waiting(run, place, why, False)
    if lifecycle.has_waited(run.pk):
        why = f"No worker has taken it: see that a worker of the queue “{queue}” is running"
        return Waiting(run, place, why, True)
    return Waiting(run, place, "next in line for a free worker", False)


def _as_seen(other: Run, run: Run) -> str:
    return str(other) if other.project_id == run.project_id else "a run of another project"


def evaluation_result(evaluation: Evaluation) -> WinRate:
    """Return the child's win rate, computed from the annotations as they are now.

    Ties and both-bad count one half. So does a pair of equal texts, which nobody is asked about,
    and an empty answer loses against one that says something: each once for every vote that it
    would have had. To leave such pairs out would flatter a checkpoint that often says nothing or
    repeats its parent. While votes are wanted and none is cast n is 0 and the interval is 0 to 1.
    """
    judged = _judged(evaluation)
    is_open = bool(judged) or needs_nobody(evaluation)
    return win_rate([*judged, *(_certain(evaluation) if is_open else [])])


def result_so_far(evaluation: Evaluation) -> AnytimeInterval:
    """Return the rate over the prompts that are finished, with an interval for every look.

    A prompt is finished once each of its items has its votes. What nobody is asked about is let
    in between at places drawn by lot, the same at every look.
    """
    items = evaluation.project.items.filter(batch=evaluation.batch)
    asked = set(items.values_list("prompt_id", flat=True))
    open_items = items.exclude(pk__in=_answered_items(items).values("pk"))
    unfinished = set(open_items.values_list("prompt_id", flat=True))
    certain = _certain(evaluation)
    judged = [*(one for one in certain if one[0] in asked), *_judged(evaluation)]
    known = prompt_means(one for one in certain if one[0] not in asked)
    draw = np.random.default_rng(evaluation.pk)
    finished = prompt_means(judged, unfinished)
    return anytime_interval(in_drawn_order(finished, len(unfinished), known, draw))


def gate_result(evaluation: Evaluation) -> WinRate | AnytimeInterval:
    """Return what the gate goes by: the result so far until the votes are in, then that of all."""
    progress = batch_progress(evaluation.project, evaluation.batch)
    if progress.is_complete or needs_nobody(evaluation):
        return evaluation_result(evaluation)
    return result_so_far(evaluation)


def _judged(evaluation: Evaluation) -> list[tuple[int, float]]:
    """Return the prompt and the score of each vote that somebody cast, the oldest first."""
    return [
        (battle["prompt_id"], _score(battle, evaluation.child_id))
        for battle in exports.battles(evaluation.project_id, evaluation.batch)
    ]


@dataclass(frozen=True)
class Certain:
    """Votes that nobody had to cast, as an evaluation counts them."""

    equal_texts: int
    """Ties, because both checkpoints wrote the same."""
    empty_won: int
    """Won, because the parent's answer is empty."""
    empty_lost: int
    """Lost, because the child's answer is empty."""

    def __str__(self) -> str:
        empty = self.empty_won + self.empty_lost
        parts = [
            f"{self.equal_texts} of them ties of equal texts" if self.equal_texts else "",
            f"{empty} decided by an empty answer" if empty else "",
        ]
        return ", ".join(filter(None, parts))


def certain(evaluation: Evaluation) -> Certain:
    """Return how many votes of an evaluation nobody had to cast."""
    scores = [score for _, score in _certain(evaluation)]
    return Certain(scores.count(0.5), scores.count(1.0), scores.count(0.0))


def needs_nobody(evaluation: Evaluation) -> bool:
    """Return whether every pair was certain, so that no votes are wanted."""
    if not _certain(evaluation):
        return False
    return not evaluation.project.items.filter(batch=evaluation.batch).exists()


def _certain(evaluation: Evaluation) -> list[tuple[int, float]]:
    """Return the prompt and the score of each vote that nobody had to cast."""
    results = evaluation.run.results
    return [
        *((prompt, 0.5) for prompt in results.get("equal_prompts", [])),
        *(
            (prompt, 0.0 if loser == evaluation.child_id else 1.0)
            for prompt, loser in results.get("empty_answers", [])
        ),
    ]


def batch_progress(project: Project, batch: str) -> BatchProgress:
    """Return how far people are with the items that one sample run made.

    An item without open slots may still lack an answer: one was taken back, or is being written.
    """
    items = project.items.filter(batch=batch)
    return BatchProgress(items.count(), _answered_items(items).count())


def _answered_items(items: QuerySet[Item]) -> QuerySet[Item]:
    given = Count("annotations", filter=exports.in_force("annotations__"))
    return items.annotate(given=given).filter(open_slots=0, given__gte=F("overlap"))


def gate_refusal(checkpoint: Checkpoint, evaluation: Evaluation | None) -> str:
    """Return why the checkpoint may not be promoted on this evaluation, or an empty string.

    Before all votes are in, an interval decides that holds at every look; then the one of all
    votes. Of equally good checkpoints the first lets through 2 % and the second 2.5 %.
    """
    current = promoted_checkpoint(checkpoint.project)
    if current is None:
        return ""
    if evaluation is None:
        return f"Promotion needs a blind evaluation of {checkpoint} against {current}. Start one."
    if evaluation.child_id != checkpoint.pk:
        return f"That evaluation is of {evaluation.child}, not of {checkpoint}. Choose another."
    if evaluation.parent_id != current.pk:
        return (
            f"That evaluation is against {evaluation.parent}, but {current} is promoted now. "
            f"Evaluate against {current}."
        )
    result = gate_result(evaluation)
    if result.low > 0.5:
        return ""
    interval = f"{_share(result.low)} to {_share(result.high)}"
    if isinstance(result, AnytimeInterval):
        progress = batch_progress(checkpoint.project, evaluation.batch)
        return (
            f"{progress.answered} of {progress.items} comparisons are answered. Wait for the "
            "others, or until the interval that allows for looking after every vote, now "
            f"{interval}, lies above 50 %."
        )
    return (
        f"The win rate is {_share(result.rate)} with a 95 % interval of {interval} over "
        f"{result.n} votes{_of_certain(evaluation)}; it must lie above 50 %. "
        "Evaluate on more prompts, or train on."
    )


def _of_certain(evaluation: Evaluation) -> str:
    words = str(certain(evaluation))
    return f", {words}" if words else ""


def checkpoint_rows(project: Project) -> list[CheckpointRow]:
    """Return the project's checkpoints, newest first, with where they came from."""
    promoted = promoted_checkpoint(project)
    checkpoints = project.checkpoints.select_related("parent", "run__snapshot")
    return [
        CheckpointRow(
            checkpoint=checkpoint,
            run=checkpoint.run,
            snapshot=checkpoint.run.snapshot if checkpoint.run else None,
            parent=checkpoint.parent,
            is_promoted=promoted is not None and promoted.pk == checkpoint.pk,
            results=checkpoint.run.results if checkpoint.run else {},
        )
        for checkpoint in checkpoints
    ]


def lineage(checkpoint: Checkpoint) -> list[Checkpoint]:
    """Return the checkpoint's ancestors and itself, the base model first."""
    line = [checkpoint]
    while line[0].parent is not None:
        line.insert(0, line[0].parent)
    return line


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
    for build in (_prompts, _comparisons, _reward, _policy, _evaluation, _promotion):
        step = build(project, opened)
        steps.append(step)
        if step.state != "done":
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
    if progress.is_complete or opened.reward_run is not None or _needs_no_reward_model(opened):
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
    action = _train(project, opened, Content.PREFERENCES, "reward")
    numbers: dict[str, int | float | str] = {}
    if opened.reward_run is not None and "heldout_accuracy" in opened.reward_run.results:
        numbers["Held-out accuracy"] = _share(opened.reward_run.results["heldout_accuracy"])
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


def _evaluation(project: Project, opened: Round) -> Step:
    assert opened.policy_run is not None
    child = Checkpoint.objects.filter(run=opened.policy_run).first()
    assert child is not None  # written in the transaction in which the run succeeded
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
        "Win rate": _share(result.rate),
        "95 % interval": f"{_share(result.low)} to {_share(result.high)}",
        "Votes": result.n,
    }


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value * 100:.0f} %"


def _score(battle: exports.BattleRow, child_id: int) -> float:
    """Return what a judgement says for the child: 1 for a win, 0 for a loss, one half between."""
    outcome = battle["outcome"]
    if outcome in SCORES:
        return SCORES[outcome]
    side = battle["left_checkpoint_id"] if outcome == "left" else battle["right_checkpoint_id"]
    return 1.0 if side == child_id else 0.0


def _elapsed(run: Run) -> float | None:
    """Return how long the run's last attempt has taken, by the database's clock."""
    if run.started_at is None:
        return None
    end = run.ended_at or Run.objects.filter(id=run.pk).values_list(Now(), flat=True).get()
    return max(timedelta(), end - run.started_at).total_seconds()
