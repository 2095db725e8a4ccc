"""The closed loop as a measurement: from an empty database to a promoted checkpoint, and on.

Everything goes through what people use: the engineer's acts are the services behind the pages,
the runs are real runs on real workers, and the annotators are programs that sign in and answer
over HTTP (`training.simulation`). Their judge is the stated haiku rubric with a stated share of
flipped answers; nothing that learns ever sees the rubric.

The first rounds are driven by hand, act by act; from the second on they are smaller. Those after
them go on by themselves (`next_act`) with the settings of the last one by hand; here only people
are simulated then.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from django.db import connection
from django.utils import timezone

from annotations.algorithms.haiku import score_haiku
from annotations.models import Completion, Item, Kind, Project, Prompt, Split, User
from training import selectors, services
from training.models import Automation, Checkpoint, Evaluation, Run, Stage
from training.simulation import SimulatedAnnotator

FLIP = 0.2
"""Share of the simulated annotators' judgements that are flipped."""
ANNOTATORS = ("bob", "bea", "ben")
POLL_SECONDS = 0.5


class LoopFailed(Exception):
    """A step of the loop did not end as it must."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The size of one measurement."""

    seed: int = 0
    prompts: int = 200
    """Prompts that are answered for ranking."""
    completions: int = 4
    """Completions of each prompt (K)."""
    evaluation_pairs: int = 2
    """Blind pairs on each held-out prompt."""
    evaluation_prompts: int | None = None
    """Held-out prompts of the evaluation; None asks all of them."""
    suite_prompts: int = 32
    """Held-out prompts on which the suite measures."""
    rounds: int = 1
    """How often it goes round by hand."""
    by_itself: int = 0
    """How many rounds then start and end by themselves, as large as the last one by hand."""
    sft: dict[str, Any] = field(default_factory=lambda: {"looks": 1})
    reward: dict[str, Any] = field(default_factory=dict)
    ppo: dict[str, Any] = field(default_factory=lambda: {"steps": 14})
    later_prompts: int = 100
    """As `prompts`, in all rounds but the first."""
    later_pairs: int = 1
    """As `evaluation_pairs`, in all rounds but the first."""
    later_ppo: dict[str, Any] = field(default_factory=lambda: {"steps": 8})
    """What PPO does otherwise in all rounds but the first."""

    def of_round(self, number: int) -> Settings:
        """Return the size of a round by hand, with a seed of its own."""
        if number == 1:
            return self
        return replace(
            self,
            seed=self.seed + number - 1,
            prompts=self.later_prompts,
            evaluation_pairs=self.later_pairs,
            ppo={**self.ppo, **self.later_ppo},
        )


@dataclass
class Report:
    """What the loop measured, ready for JSON."""

    seed: int
    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    reward_model: dict[str, Any] = field(default_factory=dict)
    suite: dict[str, str] = field(default_factory=dict)
    ppo: dict[str, Any] = field(default_factory=dict)
    rubric: dict[str, float] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    promoted: bool = False
    promoted_after: float | None = None
    """Seconds from the start of the platform, with an empty database, to the promotion."""
    decision: str = ""
    haikus: list[dict[str, str]] = field(default_factory=list)
    rounds: list[dict[str, Any]] = field(default_factory=list)
    """Each round, measured alike whoever drove it; all else is about the first."""
    stopped: str = ""
    """Why fewer rounds are here than were wanted."""


class ClosedLoop:
    """One turn of the loop in the demo project of an otherwise empty database."""

    def __init__(
        self,
        project: Project,
        base_url: str,
        password: str,
        settings: Settings,
        say: Callable[[str], None],
        wait: Callable[[], None] = lambda: time.sleep(POLL_SECONDS),
        started: float | None = None,
    ) -> None:
        """`started`: when the platform was started, by the monotonic clock; None is now."""
        self.started = time.monotonic() if started is None else started
        self.project = project
        self.base_url = base_url
        self.password = password
        self.settings = settings
        self.say = say
        self.wait = wait
        self.engineer = User.objects.get(username="eve")
        self.owner = User.objects.get(username="alice")
        self.report = Report(seed=settings.seed)

    def run(self) -> Report:
        """Go round as often as is wanted and return the report."""
        self.report.seconds["start of the platform"] = self.since_start()
        self.fine_tune()
        self.go_round()
        self.go_further()
        past = selectors.past_rounds(self.project)
        self.report.rounds = [measure_round(one) for one in reversed(past)]
        self.report.seconds["total"] = self.since_start()
        return self.report

    def since_start(self) -> float:
        return round(time.monotonic() - self.started, 1)

    def go_round(self) -> None:
        """Drive a round by hand, from its opening to the decision."""
        policy = services.open_round(self.project).policy
        self.collect_rankings(policy)
        reward_model = self.train_reward_model(policy)
        child = self.train_policy(policy, reward_model)
        evaluation = self.evaluate(child, policy, reward_model)
        self.decide(child, evaluation)

    def go_further(self) -> None:
        """Go the other rounds. Where one of them fails, what was measured before is not lost."""
        try:
            for number in range(2, self.settings.rounds + 1):
                self.go_round_again(number)
            self.go_on()
        except LoopFailed as failure:
            self.report.stopped = str(failure)

    def go_round_again(self, number: int) -> None:
        """Drive a further, smaller round by hand. What came of it is read from its rows."""
        report, settings = self.report, self.settings
        self.report, self.settings = Report(seed=settings.seed), settings.of_round(number)
        started = time.monotonic()
        try:
            self.go_round()
        finally:
            self.report, self.settings = report, settings
            report.seconds[f"round {number}, by hand"] = round(time.monotonic() - started, 1)

    def fine_tune(self) -> None:
        """Supervised fine-tuning on the demo's haikus; the result samples first."""
        with self.step("supervised fine-tuning"):
            snapshot = services.freeze_snapshot(
                self.project, "demonstrations", created_by=self.engineer, seed=self.settings.seed
            )
            self.report.counts["demonstrations"] = len(snapshot.annotation_ids)
            base = Checkpoint.objects.get(project=self.project, kind=Checkpoint.Kind.BASE)
            policy = self.train(Stage.SFT, self.settings.sft, parent=base, snapshot=snapshot)
            services.promote_checkpoint(
                policy,
                promoted_by=self.owner,
                reason="The first policy of the loop: fine-tuned on the demonstrations.",
                override=True,
            )

    def collect_rankings(self, policy: Checkpoint) -> None:
        """The policy answers; annotators rank over HTTP."""
        with self.step("sampling for annotators"):
            run = services.request_completions(
                self.project,
                checkpoint=policy,
                prompts=self.prompts_to_answer(),
                completions_per_prompt=self.settings.completions,
                kind=Kind.RANKING if self.settings.completions > 2 else Kind.COMPARISON,
                started_by=self.engineer,
                config={"seed": self.settings.seed},
            )
            self.wait_for(run)
            self.report.counts["completions"] = Completion.objects.filter(checkpoint=policy).count()
        with self.step("annotating"):
            self.report.counts["rankings"] = self.annotate(Kind.RANKING)
            # of four completions with only two distinct texts a comparison is made
            self.report.counts["comparisons"] = self.annotate(Kind.COMPARISON)

    def prompts_to_answer(self) -> list[int]:
        """Return prompts in an order that the seed decides, those first that nobody judged yet."""
        asked = Prompt.objects.filter(project=self.project).exclude(split=Split.TEST)
        prompts = list(asked.order_by("content_hash").values_list("id", flat=True))
        random.Random(self.settings.seed).shuffle(prompts)
        judged = self.project.items.filter(purpose=Item.Purpose.TRAINING)
        judged = judged.exclude(kind=Kind.DEMONSTRATION)
        known = set(judged.values_list("prompt_id", flat=True))
        return sorted(prompts, key=known.__contains__)[: self.settings.prompts]

    def train_reward_model(self, policy: Checkpoint) -> Checkpoint:
        """Preference pairs from the rankings → reward model, which starts as the policy."""
        with self.step("reward model"):
            snapshot = services.freeze_snapshot(
                self.project, "preferences", created_by=self.engineer, seed=self.settings.seed
            )
            checkpoint = self.train(
                Stage.REWARD, self.settings.reward, parent=policy, snapshot=snapshot
            )
            self.report.reward_model = checkpoint.manifest["results"]
        return checkpoint

    def train_policy(self, policy: Checkpoint, reward_model: Checkpoint) -> Checkpoint:
        """PPO from the promoted policy against the reward model."""
        with self.step("ppo"):
            snapshot = services.freeze_snapshot(
                self.project, "prompts", created_by=self.engineer, seed=self.settings.seed
            )
            child = self.train(
                Stage.PPO,
                self.settings.ppo,
                parent=policy,
                snapshot=snapshot,
                reward_checkpoint=reward_model,
            )
            self.report.ppo = child.manifest["results"]
        return child

    def evaluate(
        self, child: Checkpoint, parent: Checkpoint, reward_model: Checkpoint
    ) -> Evaluation:
        """Blind comparisons on held-out prompts, answered over HTTP while the suite measures."""
        with self.step("sampling for evaluation"):
            evaluation = services.start_evaluation(
                self.project,
                child=child,
                parent=parent,
                limit=self.settings.evaluation_prompts,
                pairs_per_prompt=self.settings.evaluation_pairs,
                started_by=self.engineer,
                config={"seed": self.settings.seed},
            )
            suite = services.start_suite(
                self.project,
                child=child,
                parent=parent,
                reward_checkpoint=reward_model,
                limit=self.settings.suite_prompts,
                config={"seed": self.settings.seed, "checks": "haiku"},
                started_by=self.engineer,
            )
            self.wait_for(evaluation.run)
        with self.step("blind comparisons"):
            self.report.counts["blind comparisons"] = self.annotate(Kind.COMPARISON)
        result = selectors.evaluation_result(evaluation)
        self.report.evaluation = {
            "n": result.n,
            "wins": result.wins,
            "ties": result.ties,
            "losses": result.losses,
            "win_rate": result.rate,
            "low": result.low,
            "high": result.high,
        }
        self.compare_by_rubric(child, parent, evaluation)
        with self.step("the rest of the suite"):
            self.wait_for(suite)
        self.report.suite = selectors.suite_numbers(suite.results)
        return evaluation

    def compare_by_rubric(
        self, child: Checkpoint, parent: Checkpoint, evaluation: Evaluation
    ) -> None:
        """What the rubric without noise says of the same completions, and three of them."""
        texts = {one.pk: _answers(one, evaluation) for one in (parent, child)}
        self.report.rubric = _rubric(evaluation)
        first: dict[int, dict[str, str]] = {}
        for checkpoint, name in ((parent, "before"), (child, "after")):
            for completion in texts[checkpoint.pk]:
                row = first.setdefault(completion.prompt_id, {"prompt": completion.prompt.text})
                row.setdefault(name, completion.text)
        self.report.haikus = [row for row in first.values() if len(row) == 3][:3]

    def decide(self, child: Checkpoint, evaluation: Evaluation) -> None:
        """Promote through the gate, or say why not; the promoted one answers the next prompts."""
        with self.step("promotion"):
            try:
                services.promote_checkpoint(
                    child,
                    promoted_by=self.owner,
                    reason="Won the blind comparison.",
                    evaluation=evaluation,
                )
            except services.ServiceError as refusal:
                self.report.decision = str(refusal)
                services.close_round(self.project, decision=str(refusal))
                return
            self.report.promoted = True
            self.report.promoted_after = self.since_start()
            self.report.decision = "Promoted: the interval of the win rate lies above one half."
        if self.settings.rounds > 1 or self.settings.by_itself:
            return  # the next round asks it
        with self.step("next comparisons"):
            promoted = selectors.promoted_checkpoint(self.project)
            if promoted != child:
                raise LoopFailed("The promoted checkpoint is not the child.")
            next_prompts = Prompt.objects.filter(project=self.project, split=Split.TRAIN)
            run = services.request_completions(
                self.project,
                checkpoint=child,
                prompts=list(
                    next_prompts.order_by("-content_hash").values_list("id", flat=True)[:8]
                ),
                completions_per_prompt=2,
                kind=Kind.COMPARISON,
                started_by=self.engineer,
            )
            self.wait_for(run)
            self.report.counts["next comparisons"] = self.annotate(Kind.COMPARISON)

    def go_on(self) -> None:
        """Switch rounds on, promotion included, and be nothing but annotators from then on."""
        if not self.settings.by_itself:
            return
        by_hand = self.settings.rounds
        self.automate(Automation.Mode.PROMOTING)
        for number in range(by_hand + 1, by_hand + self.settings.by_itself + 1):
            with self.step(f"round {number}, by itself"):
                while not self.project.rounds.filter(number=number, ended_at__isnull=False):
                    self.annotate_what_waits()
                    asks = Automation.objects.values_list("asks", flat=True).get(
                        project=self.project
                    )
                    if asks:
                        raise LoopFailed(f"Round {number} waits for a decision: {asks}")
                    self.wait()
        self.automate(Automation.Mode.OFF)

    def automate(self, mode: str) -> None:
        """Let rounds go on by themselves, or no further, in the engineer's name."""
        services.set_automation(
            self.project,
            mode=mode,
            new_comparisons=self.settings.of_round(self.settings.rounds).prompts,
            settings_from=Automation.SettingsFrom.LAST,
            changed_by=self.engineer,
        )

    def annotate_what_waits(self) -> None:
        """Answer what the queue holds, if it holds anything; nobody signs in for nothing."""
        for kind in (Kind.RANKING, Kind.COMPARISON):
            if self.project.items.filter(kind=kind, open_slots__gt=0).exists():
                self.annotate(kind)

    def train(self, stage: str, config: dict[str, Any], **inputs: Any) -> Checkpoint:
        """Start a run as the form does, wait for it, return its checkpoint."""
        run = services.start_run(
            self.project,
            stage,
            {"seed": self.settings.seed, **config},
            started_by=self.engineer,
            **inputs,
        )
        self.wait_for(run)
        return Checkpoint.objects.get(run=run)

    def wait_for(self, run: Run) -> None:
        """Wait until a worker has ended the run; raise LoopFailed unless it succeeded."""
        shown = -1
        while True:
            run.refresh_from_db()
            if run.state in Run.TERMINAL:
                break
            if run.stage != Stage.SAMPLE and run.step != shown and run.step % 10 == 0:
                shown = run.step
                self.say(f"    {run.stage} {run.step}/{run.total_steps}")
            self.wait()
        if run.state != Run.State.SUCCEEDED:
            raise LoopFailed(f"{run} {run.state}: {run.error}\n{run.error_detail[-2000:]}")

    def annotate(self, kind: str) -> int:
        """All annotators work side by side until the queue is empty. Return how many answers."""

        def work(number: int) -> int:
            try:
                annotator = SimulatedAnnotator(
                    self.base_url,
                    ANNOTATORS[number],
                    self.password,
                    judge=lambda prompt, text: score_haiku(prompt, text).total,
                    flip=FLIP,
                    seed=self.settings.seed * 97 + number,
                )
                return annotator.work(self.project.pk, kind)
            finally:
                connection.close()

        with ThreadPoolExecutor(len(ANNOTATORS)) as pool:
            return sum(pool.map(work, range(len(ANNOTATORS))))

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step and say so."""
        self.say(f"{timezone.now():%H:%M:%S}  {name} …")
        started = time.monotonic()
        yield
        self.report.seconds[name] = round(time.monotonic() - started, 1)


def measure_round(past: selectors.PastRound) -> dict[str, Any]:
    """Return what an ended round cost and what came of it, read from its rows."""
    done = past.round
    runs = {
        "sampling": done.sample_run,
        "reward model": done.reward_run,
        "policy": done.policy_run,
        "suite": done.suite_run,
        "evaluation": done.evaluation.run if done.evaluation else None,
    }
    assert done.ended_at is not None  # only ended rounds are measured
    batches = {name: run.request.get("batch", "") for name, run in runs.items() if run}
    seconds = {name: _seconds(run) for name, run in runs.items() if run}
    seconds["total"] = round((done.ended_at - done.created_at).total_seconds(), 1)
    evaluation = done.evaluation
    return {
        "number": done.number,
        "by_itself": done.driven_by_id is not None,
        "promoted": done.promotion_id is not None,
        "decision": done.decision,
        "counts": {
            "judgements": _judgements(done.project, batches.get("sampling")),
            "blind comparisons": _judgements(done.project, batches.get("evaluation")),
        },
        "reward_model": done.reward_run.results if done.reward_run else {},
        "people_agree": asdict(past.people) if past.people else {},
        "against_first": asdict(past.against_first) if past.against_first else {},
        "suite": selectors.suite_numbers(done.suite_run.results) if done.suite_run else {},
        "kl": done.policy_run.results.get("kl") if done.policy_run else None,
        "rubric": _rubric(evaluation) if evaluation else {},
        "evaluation": asdict(selectors.evaluation_result(evaluation)) if evaluation else {},
        "seconds": seconds,
    }


def _judgements(project: Project, batch: str | None) -> int:
    items = project.items.filter(batch=batch or "-")
    return items.filter(annotations__isnull=False).values("annotations").count()


def _seconds(run: Run) -> float:
    if run.started_at is None or run.ended_at is None:
        return 0.0
    return round((run.ended_at - run.started_at).total_seconds(), 1)


def _answers(checkpoint: Checkpoint, evaluation: Evaluation) -> list[Completion]:
    found = Completion.objects.filter(checkpoint=checkpoint, items__batch=evaluation.batch)
    return list(found.select_related("prompt").order_by("prompt_id", "id"))


def _rubric(evaluation: Evaluation) -> dict[str, float]:
    """Return the mean score of parent and child, without noise, on what people compared."""
    means = {}
    for name, checkpoint in (("before", evaluation.parent), ("after", evaluation.child)):
        answers = _answers(checkpoint, evaluation)
        scores = [score_haiku(one.prompt.text, one.text).total for one in answers]
        means[name] = round(sum(scores) / max(1, len(scores)), 3)
    return means


def describe_rounds(rounds: list[dict[str, Any]]) -> list[str]:
    """Return a table with one line for each round."""
    lines = ["", "Rounds"]
    for one in rounds:
        result, reward, rubric = one["evaluation"], one["reward_model"], one["rubric"]
        how = "by itself" if one["by_itself"] else "by hand"
        outcome = "promoted" if one["promoted"] else "kept back"
        counts = ", ".join(f"{count} {name}" for name, count in one["counts"].items())
        lines += [f"  {one['number']}  {how}, {outcome}; {counts}"]
        people, first = one["people_agree"], one["against_first"]
        ceiling = f" (two people agree {people['value']:.3f})" if people else ""
        parts = [
            f"reward accuracy {reward['heldout_accuracy']:.3f}{ceiling}"
            if "heldout_accuracy" in reward
            else "",
            f"KL {one['kl']:.2f}" if one["kl"] is not None else "",
            f"rubric {rubric['before']:.2f} → {rubric['after']:.2f}" if rubric else "",
            f"win rate {_interval(result)}" if result else "",
            f"against the first {_interval(first, 'value')}" if first else "",
        ]
        if one["suite"]:
            found = ", ".join(f"{name} {value}" for name, value in one["suite"].items())
            parts = [*parts, f"suite: {found}"]
        lines += [f"     {', '.join(part for part in parts if part)}"]
        seconds = ", ".join(f"{name} {value:.0f} s" for name, value in one["seconds"].items())
        lines += [f"     {seconds}"]
    return lines


def _interval(found: dict[str, Any], name: str = "rate") -> str:
    return f"{found[name]:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def describe(report: Report) -> str:
    """Return the report as a person reads it."""
    lines = [f"Seed {report.seed}", "", "Counts"]
    lines += [f"  {name:<26}{value:>8}" for name, value in report.counts.items()]
    reward, ppo, result = report.reward_model, report.ppo, report.evaluation
    if "heldout_accuracy" in reward:
        lines += [
            "",
            f"Reward model   accuracy {reward['heldout_accuracy']:.3f} "
            f"[{reward['heldout_low']:.3f}, {reward['heldout_high']:.3f}] on "
            f"{reward['heldout_pairs']} held-out pairs of {reward['heldout_prompts']} prompts "
            f"(trained on {reward['train_pairs']} pairs; a fifth of all judgements is flipped)",
        ]
    if ppo:
        lines += [
            f"PPO            KL {ppo['kl']:.2f} nats, reward on held-out prompts "
            f"{ppo['score_before']:.2f} → {ppo['score_after']:.2f}, {ppo['episodes']} episodes",
        ]
    if report.rubric:
        lines += [
            f"Rubric         {report.rubric['before']:.2f} → {report.rubric['after']:.2f} "
            "(0 is perfect; on the held-out prompts, without noise)"
        ]
    if result:
        lines += [
            f"Blind win rate {result['win_rate']:.3f} [{result['low']:.3f}, {result['high']:.3f}], "
            f"n = {result['n']}",
            f"               {result['wins']} won, {result['ties']} tied, {result['losses']} lost",
        ]
    lines += [f"Decision       {report.decision}"]
    if report.promoted_after is not None:
        minutes, seconds = divmod(round(report.promoted_after), 60)
        lines += [f"               after {minutes} min {seconds:02} s, from an empty database on"]
    lines += ["", "Seconds"]
    lines += [f"  {name:<26}{value:>8.1f}" for name, value in report.seconds.items()]
    lines += describe_rounds(report.rounds)
    if report.stopped:
        lines += ["", f"Then it stopped. {report.stopped}"]
    for row in report.haikus:
        lines += [
            "",
            row["prompt"],
            "  before:",
            *_indented(row["before"]),
            "  after:",
            *_indented(row["after"]),
        ]
    return "\n".join(lines)


def _indented(text: str) -> list[str]:
    return [f"    {line}" for line in text.splitlines()]
