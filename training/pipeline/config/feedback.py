"""Settings of the stages that learn from what people wrote and judged."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

from training.pipeline.config.outputs import SIDE_BY_SIDE, SampleConfig
from training.pipeline.config.stage import (
    MOST_FULL_RATE,
    SharedConfig,
    TrainConfig,
    between,
)
from training.pipeline.errors import PipelineError


@dataclass(frozen=True, kw_only=True)
class SFTConfig(SharedConfig):
    """Supervised fine-tuning on demonstrations; loss on the completion only."""

    stage: Literal["sft"] = field(default="sft", init=False)
    learning_rate: float = 3e-4
    """Peak learning rate of AdamW. LoRA takes about ten times that of full fine-tuning (Schulman et
    al. 2025, LoRA Without Regret)."""
    batch_size: int = 8
    """Demonstrations per optimiser update. QLoRA: 16 (arXiv:2305.14314, appendix B)."""
    micro_batch_size: int = 0
    """Demonstrations in memory at a time, a divisor of the batch; the gradients of the others are
    added up. 0 means the whole batch. Fewer need less memory and learn the same."""
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
    batch then counts such rows. Worth it where lengths differ a lot (Krell et al. 2021,
    arXiv:2107.02027)."""
    full: bool = False
    """Train every weight, not an adapter: sixteen bytes of memory a weight, and a checkpoint that
    is a model of its own. Takes a learning rate of about 2e-5 (Touvron et al. 2023,
    arXiv:2307.09288, §3.1)."""
    looks: int = 3
    """How often, while it trains, the validation loss is measured and samples are written: often
    enough to see it turn."""

    def __post_init__(self) -> None:
        super().__post_init__()
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
class RewardConfig(SharedConfig):
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
class DPOConfig(SharedConfig):
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
class RejectionConfig(TrainConfig):
    """Rejection sampling: supervised fine-tuning on the best of n completions of each prompt."""

    stage: Literal["rejection"] = field(default="rejection", init=False)
    learning_rate: float = 1e-4
    """Peak learning rate of AdamW. LoRA takes about ten times that of full fine-tuning."""
    batch_size: int = 8
    """Completions per optimiser update; as sft's."""
    best_of: int = 8
    """Candidates drawn for each prompt, of which the reward model keeps one. Twice as many moves
    the policy by at most 0.7 nats more (Stiennon et al. 2020, arXiv:2009.01325)."""
    temperature: float = 1.0
    """Sampling temperature of the candidates. Cooler ones are more alike, and there is less to
    choose from."""
    max_new_tokens: int = 48
    """Longest completion in tokens."""
    sampling_batch_size: int = SIDE_BY_SIDE
    """Candidates sampled side by side; fewer where they are long."""
    epochs: float = 1.0
    """Passes over the completions that were kept. One, since they are the policy's own already."""
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
