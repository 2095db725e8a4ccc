"""The radar of a PPO run: what policy and start answer at set distances, for people to compare.

Gao et al. 2022 (arXiv:2210.10760): the reward goes on rising with the square root of the KL while
people like the policy less from some distance on. Whenever the KL of a rollout first reaches a set
distance, the policy that drew it and the one that it started from answer the same few held-out
prompts, which people compare blindly. Each look draws answers of the start anew, or somebody would
soon know them.

Nothing of this reaches the training: it has random generators of its own, and the weights are put
back bit for bit. A look lies on the disk, whole or absent, before it is told. A resumed run tells
again what it has and takes no look twice.
"""

from __future__ import annotations

import random
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from training.pipeline import data, processes
from training.pipeline.checkpoints import is_whole, publish, read_manifest
from training.pipeline.config import PPOConfig
from training.pipeline.data import PromptRow
from training.pipeline.errors import PipelineError
from training.pipeline.guards import Seen
from training.pipeline.jobs import Job
from training.pipeline.launch import is_first
from training.pipeline.ppo_state import Models, Progress
from training.pipeline.radar import FOLDER, Answered, LookTaken, stop_order
from training.pipeline.reporting import Reporter
from training.pipeline.rollouts import enter, sample, score_completions, using
from training.pipeline.watch import Kept

SPLIT = "validation"
"""Of the prompts that people see; those of test are left to the evaluation."""
WEIGHTS = "policy.safetensors"


def prompts_for(prompts: list[PromptRow], config: PPOConfig) -> list[PromptRow]:
    """Return the held-out prompts of every look. Raise PipelineError where there are none."""
    if not config.radar_distances:
        return []
    if not prompts:
        raise PipelineError(
            f"radar_kl asks people about prompts of the {SPLIT} split, but this snapshot has none. "
            "Add prompts and freeze again, or leave radar_kl empty."
        )
    draw = random.Random(config.seed)
    return draw.sample(prompts, min(config.radar_prompts, len(prompts)))


class Radar:
    """Looks at the policy of one run, and what came of them."""

    def __init__(
        self,
        job: Job,
        models: Models,
        prompts: list[PromptRow],
        config: PPOConfig,
        reporter: Reporter,
    ) -> None:
        self.models, self.prompts, self.config, self.reporter = models, prompts, config, reporter
        self.folder = Path(job.work_dir) / FOLDER
        self.looks = [number for number in self._numbers() if is_whole(self._look(number))]

    def tell_again(self) -> None:
        """Tell what was seen before this attempt: who should have heard of it may have died."""
        for number in self.looks:
            self._tell(LookTaken.from_dict(read_manifest(self._look(number))["look"]))

    def watch(self, policy: Kept) -> None:
        """Look at the policy if its rollout is the first to reach a distance.

        Of several distances that one step has crossed the farthest is meant. Of a run's processes
        the first one looks.
        """
        if not is_first():
            return
        reached = [n for n in self._numbers() if policy.seen.kl >= self.config.radar_distances[n]]
        if not reached or (self.looks and reached[-1] <= self.looks[-1]):
            return
        self.reporter.phase("answering for the radar")
        look = self.look_at(policy, reached[-1])

        def write(folder: Path) -> None:
            if (
                self.config.radar_stop
            ):  # what the run goes back to, if this is what people like best
                save_file(policy.weights, folder / WEIGHTS)

        kept = {"step": policy.step, "seen": asdict(policy.seen)}
        publish(self._look(look.number), write, {"look": look.to_dict(), "kept": kept})
        self.looks.append(look.number)
        self._tell(look)
        self.reporter.phase("training")

    def look_at(self, policy: Kept, number: int) -> LookTaken:
        """Return what the policy and the start answer; the weights are then what they were."""
        present = self.models.weights.kept()
        self.models.weights.restore(policy.weights)
        texts, scores = self._answers("policy", 2 * number)
        self.models.weights.restore(present)
        start_texts, start_scores = self._answers(self.models.reference, 2 * number + 1)
        sides = zip(self.prompts, texts, start_texts, scores, start_scores, strict=True)
        return LookTaken(
            number=number,
            distance=self.config.radar_distances[number],
            kl=policy.seen.kl,
            step=policy.step,
            answers=tuple(Answered(prompt.prompt_id, *row) for prompt, *row in sides),
            policy_sampling=self._sampling(2 * number),
            start_sampling=self._sampling(2 * number + 1),
        )

    def told(self, progress: Progress) -> str | None:
        """Return why people want the run to end, if they do; keep the policy they like best."""
        if not self.config.radar_stop:
            return None
        order = processes.of_first(stop_order(self.folder.parent))
        if order is None:
            return None
        progress.watch.kept = None if order.since is None else self._kept(order.since)
        return order.why

    def _kept(self, number: int) -> Kept:
        kept = read_manifest(self._look(number))["kept"]
        weights = load_file(self._look(number) / WEIGHTS)
        return Kept(int(kept["step"]), Seen(**kept["seen"]), weights)

    @torch.no_grad()
    def _answers(self, adapter: str | None, place: int) -> tuple[list[str], list[float]]:
        """Return an adapter's answers and their scores, a rollout's worth at a time."""
        models, config = self.models, self.config
        generator = torch.Generator().manual_seed(self._seed(place))
        texts: list[str] = []
        scores: list[float] = []
        for start in range(0, len(self.prompts), config.batch_size):
            ids = [prompt.ids for prompt in self.prompts[start : start + config.batch_size]]
            with using(models.model, adapter):
                drawn = sample(
                    models.model,
                    ids,
                    models.tokenizer,
                    max_new_tokens=config.max_new_tokens,
                    temperature=config.temperature,
                    generator=generator,
                )
            pad = models.tokenizer.pad_token_id
            entered = enter(models.split, ids, drawn.tokens, drawn.mask, pad=pad)
            with using(models.model, "reward"):
                scores += score_completions(models.split, models.score_head, entered).tolist()
            texts += [
                data.decode(models.tokenizer, tokens[: int(mask.sum())].tolist())
                for tokens, mask in zip(drawn.tokens, drawn.mask, strict=True)
            ]
        return texts, scores

    def _sampling(self, place: int) -> dict[str, float]:
        config = self.config
        return {"temperature": config.temperature, "top_p": 1.0, "seed": self._seed(place)}

    def _seed(self, place: int) -> int:
        return self.config.seed * 86_028_121 + 1_000_003 + place

    def _numbers(self) -> range:
        return range(len(self.config.radar_distances))

    def _look(self, number: int) -> Path:
        return self.folder / f"look-{number}"

    def _tell(self, look: LookTaken) -> None:
        self.reporter.report({"event": "radar", "look": look.to_dict()})
