"""Settings of the stages that train nothing: they sample, score, measure and export."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from training.pipeline.config.stage import StageConfig, between, check_sampling
from training.pipeline.errors import PipelineError

MOST_CANDIDATES = 1024
"""Candidates of one prompt; all of them are drawn side by side."""
SIDE_BY_SIDE = 256
"""Completions written at once, if they are short: two cores write 256 haikus in half the time that
four times 64 take, since many rows share each reading of the weights."""
CACHED_TOKENS = 32_768
"""Tokens whose keys and values those may hold together: .7 GB with the demo model."""


def rows_at_once(batch_size: int, prompt_tokens: int, max_new_tokens: int) -> int:
    """Return how many completions behind prompts of at most so many tokens are written at once."""
    return max(1, min(batch_size, CACHED_TOKENS // (prompt_tokens + max_new_tokens)))


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
    batch_size: int = SIDE_BY_SIDE
    """Completions sampled side by side; fewer where they are long."""

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
    batch_size: int = SIDE_BY_SIDE
    """Completions sampled side by side; fewer where they are long."""

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


MOST_TIES = 0.9
"""Where people tie more, hardly any answer teaches anything, and which does not matter much."""


@dataclass(frozen=True, kw_only=True)
class WeighConfig(StageConfig):
    """What answers to open items would teach a reward model."""

    stage: Literal["weigh"] = field(default="weigh", init=False)
    ties: float = 0.0
    """How many of two texts that are equally good people tie: a tie teaches nothing."""

    def __post_init__(self) -> None:
        super().__post_init__()
        between(self, "ties", 0, MOST_TIES)
