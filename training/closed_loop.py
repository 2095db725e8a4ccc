"""The closed loop as a measurement: from an empty database to a promoted checkpoint.

Everything goes through what people use: the engineer's acts are the services behind the pages,
the runs are real runs on real workers, and the annotators are programs that sign in and answer
over HTTP (`training.simulation`). Their judge is the stated haiku rubric with a stated share of
flipped answers; nothing that learns ever sees the rubric.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.utils import timezone

from annotations.algorithms.haiku import score_haiku
from annotations.models import Completion, Kind, Project, Prompt, Split, User
from training import selectors, services
from training.models import Checkpoint, Evaluation, Run, Stage
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
    prompts: int = 300
    """Prompts that are answered for ranking."""
    completions: int = 4
    """Completions of each prompt (K)."""
    evaluation_pairs: int = 3
    """Blind pairs on each held-out prompt."""
    sft: dict[str, Any] = field(default_factory=dict)
    reward: dict[str, Any] = field(default_factory=dict)
    ppo: dict[str, Any] = field(default_factory=dict)


@dataclass
class Report:
    """What the loop measured, ready for JSON."""

    seed: int
    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    reward_model: dict[str, Any] = field(default_factory=dict)
    ppo: dict[str, Any] = field(default_factory=dict)
    rubric: dict[str, float] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    promoted: bool = False
    decision: str = ""
    haikus: list[dict[str, str]] = field(default_factory=list)


class ClosedLoop:
    """One turn of the loop in the demo project of an otherwise empty database."""

    def __init__(
        self,
        project: Project,
        base_url: str,
        password: str,
        settings: Settings,
        say: Callable[[str], None],
    ) -> None:
        self.project = project
        self.base_url = base_url
        self.password = password
        self.settings = settings
        self.say = say
        self.engineer = User.objects.get(username="eve")
        self.owner = User.objects.get(username="alice")
        self.report = Report(seed=settings.seed)

    def run(self) -> Report:
        """Go once round and return the report."""
        started = time.monotonic()
        policy = self.fine_tune()
        self.collect_rankings(policy)
        reward_model = self.train_reward_model(policy)
        child = self.train_policy(policy, reward_model)
        evaluation = self.evaluate(child, policy)
        self.decide(child, evaluation)
        self.report.seconds["total"] = round(time.monotonic() - started, 1)
        return self.report

    def fine_tune(self) -> Checkpoint:
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
            services.open_round(self.project)
        return policy

    def collect_rankings(self, policy: Checkpoint) -> None:
        """The policy answers; annotators rank over HTTP."""
        with self.step("sampling for annotators"):
            prompts = list(
                Prompt.objects.filter(project=self.project)
                .exclude(split=Split.TEST)
                .order_by("content_hash")
                .values_list("id", flat=True)
            )
            random.Random(self.settings.seed).shuffle(prompts)
            run = services.request_completions(
                self.project,
                checkpoint=policy,
                prompts=prompts[: self.settings.prompts],
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

    def evaluate(self, child: Checkpoint, parent: Checkpoint) -> Evaluation:
        """Blind comparisons on held-out prompts, answered over HTTP."""
        with self.step("sampling for evaluation"):
            evaluation = services.start_evaluation(
                self.project,
                child=child,
                parent=parent,
                pairs_per_prompt=self.settings.evaluation_pairs,
                started_by=self.engineer,
                config={"seed": self.settings.seed},
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
        return evaluation

    def compare_by_rubric(
        self, child: Checkpoint, parent: Checkpoint, evaluation: Evaluation
    ) -> None:
        """What the rubric without noise says of the same completions, and three of them."""
        texts: dict[int, list[Completion]] = {}
        for checkpoint in (parent, child):
            found = Completion.objects.filter(
                checkpoint=checkpoint, items__batch=evaluation.batch
            ).select_related("prompt")
            texts[checkpoint.pk] = list(found.order_by("prompt_id", "id"))
            scores = [score_haiku(c.prompt.text, c.text).total for c in texts[checkpoint.pk]]
            name = "after" if checkpoint == child else "before"
            self.report.rubric[name] = round(sum(scores) / max(1, len(scores)), 3)
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
                return
            self.report.promoted = True
            self.report.decision = "Promoted: the interval of the win rate lies above one half."
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
            time.sleep(POLL_SECONDS)
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
    lines += [f"Decision       {report.decision}", "", "Seconds"]
    lines += [f"  {name:<26}{value:>8.1f}" for name, value in report.seconds.items()]
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
