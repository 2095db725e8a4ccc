"""What a run's guards go by, and the policy of before a slide: part of every resume point."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from training.pipeline.errors import PipelineError
from training.pipeline.guards import Guards, Seen

WATCH = "watch.json"
KEPT = "kept.safetensors"


@dataclass(frozen=True)
class Kept:
    """A policy, as it drew a rollout."""

    step: int
    """Steps that it had learned from."""
    seen: Seen
    weights: dict[str, Tensor]


@dataclass
class Watch:
    """Looks at every policy that draws a rollout, and keeps the newest from before any slide."""

    reference_length: float | None = None
    """Mean length of the first rollout's completions: the policy was the reference then."""
    kept: Kept | None = None

    def look(self, guards: Guards, policy: Kept) -> str | None:
        """Return why the run must stop, if it must; keep the policy if it is calm."""
        if self.reference_length is None:
            self.reference_length = policy.seen.length
        if guards.is_calm(policy.seen, self.reference_length):
            self.kept = policy
        return guards.alarm(policy.seen, self.reference_length)

    def save(self, folder: Path) -> None:
        """Write it to the folder of a resume point."""
        known: dict[str, Any] = {"reference_length": self.reference_length}
        if self.kept is not None:
            known["kept"] = {"step": self.kept.step, "seen": asdict(self.kept.seen)}
            save_file(self.kept.weights, folder / KEPT)
        (folder / WATCH).write_text(json.dumps(known), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Watch:
        """Return what a resume point says; one without a word of it has seen nothing."""
        if not (folder / WATCH).is_file():
            return cls()
        known = json.loads((folder / WATCH).read_text(encoding="utf-8"))
        kept = None
        if "kept" in known:
            seen = Seen(**known["kept"]["seen"])
            kept = Kept(int(known["kept"]["step"]), seen, load_file(folder / KEPT))
        return cls(known["reference_length"], kept)

    def calm_policy(self, why: str, step: int, steps: int) -> Kept:
        """Return the policy to go back to. Raise PipelineError where that is the reference."""
        if self.kept is None or self.kept.step == 0:
            raise PipelineError(
                f"The run stopped itself at step {step} of {steps}: {why} There is no policy from "
                "before the slide but the one that it started from, so nothing was published."
            )
        return self.kept


def stopped_early(kept: Kept, why: str, step: int, steps: int) -> dict[str, Any]:
    """Return what the engineer is told of a run that ended with a policy of before the slide."""
    return {
        "stopped_early": (
            f"The run stopped itself at step {step} of {steps}: {why} Published is the policy of "
            f"step {kept.step}, from before the slide: {kept.seen.kl:.1f} nats and "
            f"{kept.seen.length:.1f} tokens a completion in its rollout."
        ),
        "published_step": kept.step,
    }


def with_slid(samples: Sequence[Mapping[str, Any]], kept: Sequence[str]) -> list[dict[str, Any]]:
    """Return the samples with the kept policy's as "after", and what the run had come to beside."""
    return [
        {**row, "after": text, "slid": row["after"]}
        for row, text in zip(samples, kept, strict=True)
    ]


def seen_of(log_probs: Tensor, ref_log_probs: Tensor | None, mask: Tensor) -> Seen:
    """Return how far completions went: Σ_t log π − log π_ref and their tokens, as means.

    The KL is the sum over a completion, all (N, T), whichever stage asks; nan without a reference.
    """
    kl = float("nan")
    if ref_log_probs is not None:
        kl = ((log_probs - ref_log_probs) * mask).sum(dim=1).mean().item()
    lengths = mask.sum(dim=1).float()
    error = lengths.std().item() / len(lengths) ** 0.5 if len(lengths) > 1 else 0.0
    return Seen(kl, lengths.mean().item(), error)
