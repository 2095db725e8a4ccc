"""What a person may choose about a run, one frozen dataclass per stage.

No torch here: forms, services and tests read this file. Each field's docstring stands under it
and is shown as the field's help in the form. `__post_init__` refuses values that cannot work,
with a message that names the cure.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, Self

from training.pipeline.errors import PipelineError

MOST_FULL_RATE = 1e-4
"""Learning rate of full fine-tuning above which a language model forgets what it knew."""
MOST_LOOKS = 8
"""Distances of a radar: each asks people for more, and for more votes before anything is told."""
LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def between(config: object, name: str, low: float, high: float) -> None:
    """Refuse a field that is no number, or one out of range."""
    value = getattr(config, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise PipelineError(f"{name} must be a number, not {value!r}.")
    if not low <= value <= high:
        raise PipelineError(f"{name} is {value:g}; choose a value from {low:g} to {high:g}.")


def _check_targets(names: object) -> None:
    if not isinstance(names, str) or not names.split():
        raise PipelineError(
            f"lora_targets names no layer; write their names with spaces between, for example "
            f"{' '.join(LORA_TARGETS[:4])}."
        )


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """What every stage has."""

    seed: int = 0
    """Seed of every random choice in the run: the same seed and machine give the same weights."""

    def __post_init__(self) -> None:
        between(self, "seed", 0, 2**31 - 1)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the config with `values`; unknown names are refused.

        Raise PipelineError for an unknown name or a value out of range.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise PipelineError(
                f"Unknown setting {', '.join(unknown)}; known: {', '.join(sorted(known))}."
            )
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(StageConfig):
    """What every stage that changes weights has."""

    learning_rate: float
    """Peak learning rate of AdamW. LoRA takes about ten times that of full fine-tuning (Schulman et
    al. 2025, LoRA Without Regret)."""
    batch_size: int
    """Rows (of ppo: episodes) per optimiser update."""
    lora_rank: int = 16
    """Rank of a new LoRA adapter (Hu et al. 2021, arXiv:2106.09685); what a few thousand rows teach
    fits into 16. One that goes on from a parent keeps the parent's."""
    lora_targets: str = " ".join(LORA_TARGETS)
    """Linear layers of the base that a new adapter is put on, by name, with spaces between: all of
    them learn better than attention alone (Dettmers et al. 2023, arXiv:2305.14314, figure 2)."""
    lora_layers: int = 0
    """How many of the upper layers a new adapter has a part in; 0 means all. What lies below them
    is not trained, and the backward pass ends there: less time and memory (docs/training.md)."""
    track_with: Literal["", "wandb", "mlflow", "trackio"] = ""
    """Send the metrics to this tracker, too; it must be installed and signed in where runs are
    carried out. TensorBoard files lie in the run's folder in any case."""
    checkpoint_every: int = 10
    """Steps between resume points: what a lost machine costs at most. Two are kept."""

    def __post_init__(self) -> None:
        super().__post_init__()
        between(self, "learning_rate", 1e-8, 1e-2)
        between(self, "batch_size", 1, 4096)
        between(self, "lora_rank", 1, 512)
        _check_targets(self.lora_targets)
        if self.track_with not in ("", "wandb", "mlflow", "trackio"):
            raise PipelineError(
                f"track_with is {self.track_with!r}; choose wandb, mlflow, trackio or nothing."
            )
        between(self, "lora_layers", 0, 10_000)
        between(self, "checkpoint_every", 1, 100_000)


@dataclass(frozen=True, kw_only=True)
class SFTConfig(TrainConfig):
    """Supervised fine-tuning on demonstrations; loss on the completion only."""

    stage: Literal["sft"] = field(default="sft", init=False)
    learning_rate: float = 3e-4
    """Peak learning rate of AdamW. LoRA takes about ten times that of full fine-tuning (Schulman et
    al. 2025, LoRA Without Regret)."""
    batch_size: int = 8
    """Demonstrations per optimiser update."""
    micro_batch_size: int = 0
    """Demonstrations in memory at a time, a divisor of the batch; the gradients of the others are
    added up. 0 means the whole batch. Fewer need less memory and learn the same."""
    processes: int = 1
    """Processes that share each batch, one a GPU (without GPUs, of the processor), started by
    `accelerate launch`. They learn what one would."""
    sharding: Literal["", "fsdp", "deepspeed"] = ""
    """How the processes share the weights: each has all of them (nothing chosen), or a part (FSDP:
    Zhao et al. 2023, arXiv:2304.11277; DeepSpeed ZeRO-3: Rajbhandari et al. 2020,
    arXiv:1910.02054). Sharding was not tried here, for want of GPUs."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: a third more time
    for a fraction of the memory (Chen et al. 2016, arXiv:1604.06174)."""
    epochs: float = 3.0
    """Passes over the demonstrations. InstructGPT took 16: the held-out loss rises after the first,
    what people think of the answers does too (arXiv:2203.02155, §3.5)."""
    max_length: int = 256
    """Longest prompt plus completion in tokens; longer rows are counted and left out. Memory grows
    with it."""
    min_rows: int = 8
    """Fewest demonstrations worth training on: our rule of thumb, no law."""
    packing: bool = False
    """Lay demonstrations end to end in rows of max_length tokens, none of which sees another; a
    batch then counts such rows. Worth it where lengths differ a lot."""
    full: bool = False
    """Train every weight, not an adapter: sixteen bytes of memory a weight, and a checkpoint that
    is a model of its own. Takes a learning rate of about 2e-5."""
    looks: int = 3
    """How often, while it trains, the validation loss is measured and samples are written."""

    def __post_init__(self) -> None:
        super().__post_init__()
        between(self, "processes", 1, 64)
        if self.batch_size % self.processes:
            raise PipelineError(
                f"batch_size {self.batch_size} is not a multiple of processes {self.processes}; "
                "make it one, so that each has as many rows."
            )
        if self.sharding not in ("", "fsdp", "deepspeed"):
            raise PipelineError(
                f"sharding is {self.sharding!r}; choose fsdp, deepspeed or nothing."
            )
        if self.sharding and self.processes < 2:
            raise PipelineError(
                "sharding needs several processes; raise processes, or leave it empty."
            )
        if self.sharding and self.packing:
            raise PipelineError(
                "packing is checked on the whole model, which no process has with sharding; turn "
                "one of them off."
            )
        share = self.batch_size // self.processes
        between(self, "micro_batch_size", 0, share)
        if self.micro_batch_size and share % self.micro_batch_size:
            raise PipelineError(
                f"micro_batch_size {self.micro_batch_size} is no divisor of the {share} rows of a "
                "batch that each process has; make it one, or 0 for all of them."
            )
        between(self, "epochs", 0.01, 100)
        between(self, "max_length", 16, 131_072)
        between(self, "min_rows", 1, 10**9)
        between(self, "looks", 0, 1000)
        if self.full and self.learning_rate > MOST_FULL_RATE:
            raise PipelineError(
                f"learning_rate is {self.learning_rate:g}, which suits an adapter; with every "
                f"weight trained choose at most {MOST_FULL_RATE:g}, 2e-5 to begin with."
            )


@dataclass(frozen=True, kw_only=True)
class RewardConfig(TrainConfig):
    """A reward model from preference pairs, Bradley-Terry loss."""

    stage: Literal["reward"] = field(default="reward", init=False)
    learning_rate: float = 4e-4
    """Peak learning rate of AdamW. LoRA takes about ten times that of full fine-tuning (Schulman et
    al. 2025, LoRA Without Regret)."""
    batch_size: int = 4
    """Prompts per optimiser update; all pairs of a prompt stay together (InstructGPT: 64 prompts,
    arXiv:2203.02155, appendix C.2)."""
    epochs: float = 1.0
    """Passes over the pairs. More than one or two overfits (InstructGPT, arXiv:2203.02155,
    §3.5)."""
    max_length: int = 256
    """Longest prompt plus completion in tokens; longer rows are counted and left out. Memory grows
    with it."""
    use_margin: bool = False
    """Ask for a larger reward gap where people said so (Llama 2's small margins, arXiv:2307.09288,
    §3.2.2)."""
    learn_from_ties: bool = False
    """Take a tie as half a vote for either side, so that the two score alike. The snapshot must
    keep its ties."""
    min_pairs: int = 50
    """Fewest preference pairs worth training on: our rule of thumb, no law."""

    def __post_init__(self) -> None:
        super().__post_init__()
        between(self, "epochs", 0.01, 100)
        between(self, "max_length", 16, 131_072)
        between(self, "min_pairs", 1, 10**9)


@dataclass(frozen=True, kw_only=True)
class DPOConfig(TrainConfig):
    """Direct preference optimisation: a policy from preference pairs, without a reward model."""

    stage: Literal["dpo"] = field(default="dpo", init=False)
    learning_rate: float = 2e-5
    """Peak learning rate of AdamW. DPO wants a tenth of what SFT does, or answers fall apart
    (Tunstall et al. 2023, arXiv:2310.16944: 5e-7 for full fine-tuning)."""
    batch_size: int = 8
    """Preference pairs per optimiser update. Tunstall et al. 2023: 32."""
    epochs: float = 1.0
    """Passes over the pairs. Tunstall et al. 2023: one to three; more than one overfits."""
    beta: float = 0.1
    """How dearly moving away from the reference is paid: 0.1 as in the paper, 0.5 for small
    steps (Rafailov et al. 2023, arXiv:2305.18290)."""
    sft_coef: float = 0.0
    """Weight of the SFT loss on what was chosen, which keeps it from becoming less likely; Llama 3
    used 0.2 (arXiv:2407.21783, §4.1.4). 0 is plain DPO."""
    max_length: int = 256
    """Longest prompt plus completion in tokens; pairs with a longer one are counted and left out.
    Memory grows with it."""
    min_pairs: int = 50
    """Fewest preference pairs worth training on: our rule of thumb, no law."""

    def __post_init__(self) -> None:
        super().__post_init__()
        between(self, "epochs", 0.01, 100)
        between(self, "beta", 1e-4, 100)
        between(self, "sft_coef", 0, 100)
        between(self, "max_length", 16, 131_072)
        between(self, "min_pairs", 1, 10**9)


@dataclass(frozen=True, kw_only=True)
class KTOConfig(TrainConfig):
    """Kahneman-Tversky optimisation: a policy from completions that were judged good or bad."""

    stage: Literal["kto"] = field(default="kto", init=False)
    learning_rate: float = 2e-5
    """Peak learning rate of AdamW. KTO wants a tenth of what SFT does, or answers fall apart
    (Ethayarajh et al. 2024, arXiv:2402.01306: 5e-7 for full fine-tuning)."""
    batch_size: int = 16
    """Judged completions per optimiser update. The KL is estimated within a batch: at least 2."""
    epochs: float = 1.0
    """Passes over the judged completions. Ethayarajh et al. 2024: one."""
    beta: float = 0.1
    """How dearly moving away from the reference is paid (Ethayarajh et al. 2024: 0.1)."""
    desirable_weight: float | None = None
    """Weight of good completions where bad ones weigh 1. Empty: the rarer kind weighs as much in
    all as the other (Ethayarajh et al. 2024, eq. 8)."""
    max_length: int = 256
    """Longest prompt plus completion in tokens; longer rows are counted and left out."""
    min_rows: int = 50
    """Fewest judged completions worth training on: our rule of thumb, no law."""

    def __post_init__(self) -> None:
        super().__post_init__()
        between(self, "batch_size", 2, 4096)
        between(self, "epochs", 0.01, 100)
        between(self, "beta", 1e-4, 100)
        if self.desirable_weight is not None:
            between(self, "desirable_weight", 0.01, 100)
        between(self, "max_length", 16, 131_072)
        between(self, "min_rows", 2, 10**9)


@dataclass(frozen=True, kw_only=True)
class PPOConfig(TrainConfig):
    """PPO with LoRA on one copy of the weights."""

    stage: Literal["ppo"] = field(default="ppo", init=False)
    learning_rate: float = 1e-4
    """Peak learning rate of AdamW. LoRA takes about ten times that of full fine-tuning (Schulman et
    al. 2025, LoRA Without Regret)."""
    batch_size: int = 32
    """Episodes per rollout step. InstructGPT: 512 (arXiv:2203.02155, appendix C.4)."""
    minibatch_size: int = 16
    """Episodes per optimiser update within a rollout step: what has to fit into memory at once."""
    steps: int = 20
    """Rollout steps; each samples a batch and learns from it."""
    ppo_epochs: int = 2
    """Passes over each rollout. Ziegler et al. 2019 (arXiv:1909.08593): 4, InstructGPT: 1."""
    max_new_tokens: int = 32
    """Longest completion in tokens."""
    temperature: float = 1.0
    """Sampling temperature. PPO is on-policy only at 1."""
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
    model that pays for length is the commonest way to be fooled. Published is the policy of before
    the slide."""
    clip_range: float = 0.2
    """How far the probability ratio may move in one rollout step (Schulman et al. 2017,
    arXiv:1707.06347)."""
    clip_range_value: float = 0.2
    """How far a value may move in one rollout step; as InstructGPT's."""
    value_coef: float = 0.1
    """Weight of the value loss (Ziegler et al. 2019: 0.1)."""
    gamma: float = 1.0
    """Discount per token; 1 takes none, since a completion is judged as a whole."""
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
    that the policy does not unlearn them (PPO-ptx, InstructGPT); 0 leaves it out."""
    micro_batch_size: int = 0
    """Episodes whose activations are in memory at a time while learning; gradients add up to the
    minibatch's. 0 chooses by their length and the device."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, about a
    third more time."""
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
        between(self, "micro_batch_size", 0, self.minibatch_size)
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
    model that pays for length is the commonest way to be fooled. Published is the policy of before
    the slide."""
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


def check_sampling(config: object) -> None:
    """Refuse settings that no completion can be drawn by."""
    between(config, "temperature", 0.01, 10)
    between(config, "top_p", 0.01, 1)
    between(config, "max_new_tokens", 1, MOST_NEW_TOKENS)


MOST_NEW_TOKENS = 8192
MOST_CANDIDATES = 1024
"""Candidates of one prompt; all of them are drawn side by side."""


@dataclass(frozen=True, kw_only=True)
class SampleConfig(StageConfig):
    """Completions of given prompts by one or two checkpoints."""

    stage: Literal["sample"] = field(default="sample", init=False)
    completions_per_prompt: int = 2
    """Completions for each prompt (K). InstructGPT's rankings: 4 to 9."""
    temperature: float = 1.0
    """Sampling temperature."""
    top_p: float = 1.0
    """Nucleus: keep the most likely tokens up to this probability (Holtzman et al. 2020,
    arXiv:1904.09751)."""
    max_new_tokens: int = 48
    """Longest completion in tokens."""
    best_of: int = 1
    """Candidates drawn for each completion, of which the one is kept that a reward model scores
    highest. 1 keeps every one and needs no reward model."""
    batch_size: int = 64
    """Completions sampled side by side."""

    def __post_init__(self) -> None:
        super().__post_init__()
        between(self, "completions_per_prompt", 1, 64)
        between(self, "best_of", 1, 256)
        if self.completions_per_prompt * self.best_of > MOST_CANDIDATES:
            raise PipelineError(
                f"best_of {self.best_of} for each of {self.completions_per_prompt} completions is "
                f"more than {MOST_CANDIDATES} candidates a prompt. Lower one of them."
            )
        check_sampling(self)
        between(self, "batch_size", 1, 4096)


@dataclass(frozen=True, kw_only=True)
class RejectionConfig(TrainConfig):
    """Rejection sampling: supervised fine-tuning on the best of n completions of each prompt."""

    stage: Literal["rejection"] = field(default="rejection", init=False)
    learning_rate: float = 1e-4
    """Peak learning rate of AdamW. LoRA takes about ten times that of full fine-tuning."""
    batch_size: int = 8
    """Completions per optimiser update."""
    best_of: int = 8
    """Candidates drawn for each prompt, of which the reward model keeps one. Twice as many moves
    the policy by at most 0.7 nats more (Stiennon et al. 2020, arXiv:2009.01325)."""
    temperature: float = 1.0
    """Sampling temperature of the candidates."""
    max_new_tokens: int = 48
    """Longest completion in tokens."""
    sampling_batch_size: int = 64
    """Candidates sampled side by side."""
    epochs: float = 1.0
    """Passes over the completions that were kept."""
    max_length: int = 256
    """Longest prompt plus completion in tokens; longer rows are counted and left out."""
    min_rows: int = 8
    """Fewest completions worth training on: our rule of thumb, no law."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.sampling()
        self.fine_tuning()

    def sampling(self) -> SampleConfig:
        """Return how the candidates are drawn. Raise PipelineError for what cannot work."""
        if self.best_of == 1:
            raise PipelineError("best_of is 1; choose a value from 2 to 256.")
        between(self, "sampling_batch_size", 1, 4096)
        return SampleConfig(
            seed=self.seed,
            completions_per_prompt=1,
            best_of=self.best_of,
            temperature=self.temperature,
            max_new_tokens=self.max_new_tokens,
            batch_size=self.sampling_batch_size,
        )

    def fine_tuning(self) -> SFTConfig:
        """Return how the policy learns from what was kept. Raise PipelineError as above."""
        names = {f.name for f in dataclasses.fields(SFTConfig) if f.init}
        return SFTConfig(**{n: v for n, v in vars(self).items() if n in names})


@dataclass(frozen=True, kw_only=True)
class ExportConfig(StageConfig):
    """A policy's adapter merged into its base: a plain model."""

    stage: Literal["export"] = field(default="export", init=False)
    half_precision: bool = False
    """Write bfloat16: half the size, but small changes of the weights are rounded away."""


@dataclass(frozen=True, kw_only=True)
class SuiteConfig(StageConfig):
    """A checkpoint measured beside its parent on the same held-out prompts."""

    stage: Literal["suite"] = field(default="suite", init=False)
    completions_per_prompt: int = 2
    """Completions of either for each prompt. More prompts narrow the intervals more than more
    completions do."""
    temperature: float = 1.0
    """Sampling temperature. At 1, with the whole nucleus, the KL is measured without a bias."""
    top_p: float = 1.0
    """Nucleus: keep the most likely tokens up to this probability (Holtzman et al. 2020,
    arXiv:1904.09751)."""
    max_new_tokens: int = 48
    """Longest completion in tokens."""
    checks: Literal["", "haiku"] = ""
    """The project's own checks: haiku counts lines, syllables, subject and repetition."""
    batch_size: int = 64
    """Completions sampled side by side."""

    def __post_init__(self) -> None:
        super().__post_init__()
        between(self, "completions_per_prompt", 1, 64)
        check_sampling(self)
        between(self, "batch_size", 1, 4096)
        if self.checks not in ("", "haiku"):
            raise PipelineError(f"checks is {self.checks!r}; choose haiku or nothing.")


@dataclass(frozen=True, kw_only=True)
class ReplayConfig(StageConfig):
    """The cases of guidelines, scored by a reward model."""

    stage: Literal["replay"] = field(default="replay", init=False)


AnyConfig = (
    SFTConfig
    | RewardConfig
    | PPOConfig
    | DPOConfig
    | KTOConfig
    | GRPOConfig
    | RLOOConfig
    | RejectionConfig
    | SampleConfig
    | ExportConfig
    | SuiteConfig
    | ReplayConfig
)

CONFIGS: dict[str, type[AnyConfig]] = {
    "sft": SFTConfig,
    "reward": RewardConfig,
    "ppo": PPOConfig,
    "dpo": DPOConfig,
    "kto": KTOConfig,
    "grpo": GRPOConfig,
    "rloo": RLOOConfig,
    "rejection": RejectionConfig,
    "sample": SampleConfig,
    "export": ExportConfig,
    "suite": SuiteConfig,
    "replay": ReplayConfig,
}


def parse_config(stage: str, values: dict[str, Any]) -> AnyConfig:
    """Return the config of `stage`, checked. Raise PipelineError when it cannot work."""
    if stage not in CONFIGS:
        raise PipelineError(f"Unknown stage {stage!r}; known: {', '.join(CONFIGS)}.")
    return CONFIGS[stage].from_dict({k: v for k, v in values.items() if k != "stage"})


def read_settings(text: str, stage: str) -> dict[str, Any]:
    """Return the settings of `stage` in the text of a job file, or of its `config` alone.

    Raise PipelineError where the text is of another stage or something else altogether.

    >>> read_settings('{"config": {"stage": "sft", "epochs": 2.0}, "base_path": "/m"}', "sft")
    {'epochs': 2.0}
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if isinstance(values, dict):
        values = values.get("config", values)
    if not isinstance(values, dict):
        raise PipelineError("This is no file of settings. Export one from the page of a run.")
    found = values.get("stage", stage)
    if found != stage:
        raise PipelineError(f"These are settings of {found}, not of {stage}. Choose another file.")
    parse_config(stage, values)
    return {name: value for name, value in values.items() if name != "stage"}
