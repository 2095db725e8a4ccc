"""When a run stops itself: a policy that runs away from what its reward model knows. No torch here.

A reward model is right near the answers that people judged, and only there (Gao et al. 2022,
arXiv:2210.10760: beyond some KL its score rises and people's liking falls). Two signs that a policy
has left that ground are watched in the rollouts of ppo, grpo and rloo: its KL to the reference and
how long its completions have grown. When one goes too far the run ends there, and what it publishes
is the newest policy that was still calm, at most half way to both limits.
"""

from __future__ import annotations

from dataclasses import dataclass

CALM_SHARE = 0.5
"""How far towards a limit a policy may be and still count as one from before the slide."""
SURE = 2.0
"""Standard errors by which completions must be too long: a few long ones by chance end no run."""


@dataclass(frozen=True)
class Seen:
    """What was seen of a policy's completions, in one rollout or on held-out prompts."""

    kl: float
    """Mean over completions, each summed over its tokens, in nats; nan where it was not measured,
    which is neither too far nor calm."""
    length: float
    """Mean over completions, in tokens."""
    length_error: float = 0.0
    """Standard error of that mean."""


@dataclass(frozen=True)
class Guards:
    """How far a policy may go."""

    max_kl: float
    max_length_ratio: float
    price: str = "kl_coef"
    """What the stage calls the price of the KL."""

    def alarm(self, seen: Seen, reference_length: float) -> str | None:
        """Return what went too far and what to do about it, or None."""
        if seen.kl > self.max_kl:
            return (
                f"its KL to the reference reached {seen.kl:.1f} nats, above max_kl "
                f"{self.max_kl:g}: the policy was running away from the answers that the reward "
                f"model was trained on. Raise {self.price}, lower the learning rate, or collect "
                "comparisons of completions like these."
            )
        if seen.length - SURE * seen.length_error > self.max_length_ratio * reference_length:
            return (
                f"its completions grew to {seen.length:.1f} tokens, more than "
                f"{self.max_length_ratio:g} times the {reference_length:.1f} of the reference "
                "(max_length_ratio): the reward model may pay for length. Compare the samples; if "
                "longer is better, raise max_length_ratio, else collect comparisons in which the "
                "shorter answer wins and train the reward model again."
            )
        return None

    def is_calm(self, seen: Seen, reference_length: float) -> bool:
        """Return whether the policy is from before any slide: at most half way to both limits."""
        longest = 1 + CALM_SHARE * (self.max_length_ratio - 1)
        return seen.kl <= CALM_SHARE * self.max_kl and seen.length <= longest * reference_length
