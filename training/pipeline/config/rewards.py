"""Settings of the stages that learn from the scores of a reward model."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from training.pipeline.config.stage import SharedConfig, TrainConfig, between, shared_by
from training.pipeline.errors import PipelineError

MOST_LOOKS = 8
"""Distances of a radar: each asks people for more, and for more votes before anything is told."""


@dataclass(frozen=True, kw_only=True)
class PPOConfig(SharedConfig):
    """PPO with LoRA on one copy of the weights."""

    stage: Literal["ppo"] = field(default="ppo", init=False)
    learning_rate: float = 1e-4
    """Peak learning rate of AdamW. LoRA takes about ten times that of full fine-tuning (Schulman et
    al. 2025, LoRA Without Regret)."""
    batch_size: int = 32
    """Episodes per rollout step. InstructGPT: 512 (arXiv:2203.02155, appendix C.4)."""
    minibatch_size: int = 16
    """Episodes per optimiser update within a rollout step. InstructGPT: 64, an eighth of a batch
    (arXiv:2203.02155, appendix C.4)."""
    steps: int = 20
    """Rollout steps; each samples a batch and learns from it. InstructGPT: 500 of 512 episodes.
    Twenty of 32 come from loops on the demo (docs/log.md)."""
    ppo_epochs: int = 2
    """Passes over each rollout. Ziegler et al. 2019 (arXiv:1909.08593): 4, InstructGPT: 1."""
    max_new_tokens: int = 32
    """Longest completion in tokens."""
    temperature: float = 1.0
    """Sampling temperature. PPO is on-policy only at 1, as InstructGPT's."""
    kl_coef: float = 0.05
    """Price of one nat of KL to the reference model, per token. InstructGPT: 0.02."""
    kl_estimator: Literal["k1", "k2", "k3"] = "k1"
    """How a token's KL is estimated for its price: k1 is unbiased, k3 too and never negative, k2
    is never negative but biased (Schulman 2020)."""
    target_kl: float | None = None
    """Steer kl_coef towards this KL per completion (nats); empty keeps kl_coef fixed."""
    kl_horizon: int = 2000
    """Episodes over which an adaptive kl_coef corrects itself (Ziegler et al. 2019, §2.2)."""
    max_kl: float = 20.0
    """Stop when the mean KL of a rollout exceeds this many nats, and publish the policy of before
    the slide: far from the reference, a rising score is the reward model's error (Gao et al. 2023,
    arXiv:2210.10760)."""
    max_length_ratio: float = 1.5
    """Stop when completions grow to more than this many times the reference's length: a reward
    model that pays for length is the commonest way to be fooled (Singhal et al. 2023,
    arXiv:2310.03716). Published is the policy of before the slide."""
    clip_range: float = 0.2
    """How far the probability ratio may move in one rollout step (Schulman et al. 2017,
    arXiv:1707.06347)."""
    clip_range_value: float = 0.2
    """How far a value may move in one rollout step (Ziegler et al. 2019 and InstructGPT: 0.2)."""
    value_coef: float = 0.1
    """Weight of the value loss (Ziegler et al. 2019: 0.1)."""
    gamma: float = 1.0
    """Discount per token; 1 takes none, as InstructGPT, since a completion is judged as a whole."""
    lam: float = 0.95
    """GAE lambda: nearer 1 means less bias, more variance (Schulman et al. 2016,
    arXiv:1506.02438)."""
    whiten_rewards: bool = False
    """Scale the per-token rewards of a rollout to unit variance (Huang et al. 2024,
    arXiv:2403.17031)."""
    missing_eos_penalty: float = 1.0
    """Taken from the reward of a completion that never ended (Huang et al. 2024)."""
    ptx_coef: float = 0.0
    """Weight of the supervised loss on the snapshot's demonstrations, mixed into every update so
    that the policy does not unlearn them (PPO-ptx; InstructGPT took 27.8 on pretraining data,
    arXiv:2203.02155, appendix C.4); 0 leaves it out."""
    micro_batch_size: int = 0
    """Episodes whose activations are in memory at a time while learning; gradients add up to the
    minibatch's. 0 chooses by their length and the device."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, about a
    third more time (Chen et al. 2016, arXiv:1604.06174)."""
    rollouts: Literal["", "vllm"] = ""
    """Draw the completions with vLLM (Kwon et al. 2023, arXiv:2309.06180), which must be installed
    where runs are carried out and holds the base once more. For GPUs: on a processor it is slower
    than without (docs/log.md). Empty draws them here."""
    radar_kl: str = ""
    """Distances (KL in nats, rising, with spaces between, such as 1 2 4 8) at which people compare
    the policy with where it started, to see whether they like what the reward likes (Gao et al.
    2022, arXiv:2210.10760). Empty asks nobody: it costs people's time."""
    radar_prompts: int = 20
    """Held-out prompts that are answered at each distance; each is one comparison. Fewer than ten
    can hardly show anything."""
    radar_votes: int = 1
    """People who judge each of these comparisons."""
    radar_stop: bool = False
    """End the run when reward and people part, and publish the policy that people liked best."""

    def __post_init__(self) -> None:
        super().__post_init__()
        between(self, "minibatch_size", 1, self.batch_size)
        if self.batch_size % self.minibatch_size:
            raise PipelineError(
                f"batch_size {self.batch_size} is not a multiple of minibatch_size "
                f"{self.minibatch_size}; make it one."
            )
        shared_by(self, "minibatch_size")
        between(self, "steps", 1, 1_000_000)
        between(self, "ppo_epochs", 1, 64)
        between(self, "max_new_tokens", 1, 8192)
        between(self, "temperature", 0.01, 10)
        between(self, "kl_coef", 0, 100)
        if self.target_kl is not None:
            between(self, "target_kl", 1e-4, 1000)
        between(self, "kl_horizon", 1, 10**9)
        if self.kl_estimator not in ("k1", "k2", "k3"):
            raise PipelineError(f"kl_estimator is {self.kl_estimator!r}; choose k1, k2 or k3.")
        between(self, "max_kl", 1e-3, 1e6)
        between(self, "max_length_ratio", 1, 1e6)
        between(self, "clip_range", 1e-3, 10)
        between(self, "clip_range_value", 1e-3, 1e6)
        between(self, "value_coef", 0, 100)
        between(self, "gamma", 0, 1)
        between(self, "lam", 0, 1)
        between(self, "missing_eos_penalty", 0, 1000)
        between(self, "ptx_coef", 0, 1000)
        between(self, "micro_batch_size", 0, self.minibatch_size // self.processes)
        if self.rollouts not in ("", "vllm"):
            raise PipelineError(f"rollouts is {self.rollouts!r}; choose vllm or nothing.")
        if self.rollouts and self.processes > 1:
            raise PipelineError(
                "vLLM draws for one process; leave rollouts empty, so that each of the processes "
                "draws its own share, or set processes to 1."
            )
        _check_radar(self)

    @property
    def radar_distances(self) -> tuple[float, ...]:
        """The distances at which people are asked, in nats; none where the radar is off."""
        return tuple(float(word) for word in self.radar_kl.split())


def _check_radar(config: PPOConfig) -> None:
    try:
        distances = config.radar_distances
    except (AttributeError, ValueError):
        raise PipelineError(
            f"radar_kl is {config.radar_kl!r}; write distances in nats with spaces between, for "
            "example 1 2 4 8, or leave it empty."
        ) from None
    rising = all(a < b for a, b in pairwise((0.0, *distances)))
    if len(distances) > MOST_LOOKS or not rising:
        raise PipelineError(
            f"radar_kl is {config.radar_kl!r}; write up to {MOST_LOOKS} distances above 0, each "
            "larger than the one before."
        )
    if distances and distances[-1] > config.max_kl:
        raise PipelineError(
            f"radar_kl asks at {distances[-1]:g} nats, but the run stops itself above max_kl "
            f"{config.max_kl:g}. Leave that distance out, or raise max_kl."
        )
    if config.radar_stop and not distances:
        raise PipelineError(
            "radar_stop needs people to ask; set distances in radar_kl, or turn it off."
        )
    between(config, "radar_prompts", 1, 500)
    between(config, "radar_votes", 1, 100)


@dataclass(frozen=True, kw_only=True)
class GroupConfig(TrainConfig):
    """What the stages have that compare several completions of one prompt with each other."""

    learning_rate: float = 5e-5
    """Peak learning rate of AdamW. LoRA takes about ten times that of full fine-tuning."""
    batch_size: int = 32
    """Completions per step; each step is one optimiser update on new ones. DeepSeekMath: 1024
    (arXiv:2402.03300, §4.2)."""
    minibatch_size: int = 16
    """Completions whose activations are in memory at a time; what is learned is the same."""
    group_size: int = 8
    """Completions of one prompt, each measured against the others. Two can tell little apart;
    DeepSeekMath draws 64, Ahmadian et al. 2024 (arXiv:2402.14740) two to four."""
    steps: int = 40
    """Steps, each of which draws batch_size completions and learns from them once."""
    max_new_tokens: int = 32
    """Longest completion in tokens."""
    temperature: float = 1.0
    """Sampling temperature. Learning is on-policy only at 1."""
    beta: float
    """Price of the KL to the reference model."""
    max_kl: float = 20.0
    """Stop when the mean KL of a step's completions exceeds this many nats, each summed over all of
    its tokens, and publish the policy of before the slide: far from the reference, a rising reward
    is the reward model's error (Gao et al. 2023, arXiv:2210.10760)."""
    max_length_ratio: float = 1.5
    """Stop when completions grow to more than this many times the reference's length: a reward
    model that pays for length is the commonest way to be fooled (Singhal et al. 2023,
    arXiv:2310.03716). Published is the policy of before the slide."""
    missing_eos_penalty: float = 1.0
    """Taken from the reward of a completion that never ended (Huang et al. 2024,
    arXiv:2403.17031)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        between(self, "group_size", 2, 1024)
        for part in ("group_size", "minibatch_size"):
            between(self, part, 1, self.batch_size)
            if self.batch_size % getattr(self, part):
                raise PipelineError(
                    f"batch_size {self.batch_size} is not a multiple of {part} "
                    f"{getattr(self, part)}; make it one."
                )
        between(self, "steps", 1, 1_000_000)
        between(self, "max_new_tokens", 1, 8192)
        between(self, "temperature", 0.01, 10)
        between(self, "beta", 0, 100)
        between(self, "max_kl", 1e-3, 1e6)
        between(self, "max_length_ratio", 1, 1e6)
        between(self, "missing_eos_penalty", 0, 1000)


@dataclass(frozen=True, kw_only=True)
class GRPOConfig(GroupConfig):
    """Group relative policy optimisation against a reward model, without a value function."""

    stage: Literal["grpo"] = field(default="grpo", init=False)
    beta: float = 0.04
    """Price of one nat of KL to the reference model, per token, in the loss (DeepSeekMath,
    arXiv:2402.03300, §4.2)."""
    scale_rewards: bool = True
    """Divide a group's advantages by its spread (DeepSeekMath); without, prompts whose completions
    score alike count less (Dr. GRPO: Liu et al. 2025, arXiv:2503.20783)."""


@dataclass(frozen=True, kw_only=True)
class RLOOConfig(GroupConfig):
    """REINFORCE leave-one-out against a reward model, without a value function."""

    stage: Literal["rloo"] = field(default="rloo", init=False)
    beta: float = 0.05
    """Price of one nat of KL to the reference model, taken from the reward (Ahmadian et al.
    2024, arXiv:2402.14740)."""
