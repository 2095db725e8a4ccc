"""What a radar's run says and is told: looks at its policy, and the order to stop. No torch here.

The platform makes comparisons of a look, people judge them, and when they part from the reward it
lays an order beside the run's resume points, where every attempt finds it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

FOLDER = "radar"
ORDER = "stop.json"


@dataclass(frozen=True)
class Answered:
    """What the policy and its start answered to a prompt, and how the reward model scores both."""

    prompt_id: int
    policy: str
    start: str
    policy_score: float
    start_score: float


@dataclass(frozen=True)
class LookTaken:
    """The policy at a set distance from its start, as an event tells it."""

    number: int
    """Which of the set distances, from 0."""
    distance: float
    """The set distance in nats."""
    kl: float
    """How far the rollout was that reached it."""
    step: int
    """Rollout steps that the policy had learned from."""
    answers: tuple[Answered, ...]
    policy_sampling: dict[str, Any]
    """How the policy's answers were drawn."""
    start_sampling: dict[str, Any]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the look of an event.

        Raise TypeError, ValueError or KeyError for anything else.
        """
        answers = tuple(Answered(**row) for row in values["answers"])
        look = cls(**{**values, "answers": answers})
        whole = (look.number, look.step, *(row.prompt_id for row in answers))
        real = (
            look.distance,
            look.kl,
            *(s for r in answers for s in (r.policy_score, r.start_score)),
        )
        texts = (text for row in answers for text in (row.policy, row.start))
        drawn = (look.policy_sampling, look.start_sampling)
        if not (
            answers
            and all(type(value) is int and 0 <= value < 2**31 for value in whole)
            and all(type(value) in (int, float) and abs(value) < 1e300 for value in real)
            and all(isinstance(text, str) for text in texts)
            and all(isinstance(sampling, dict) for sampling in drawn)
        ):
            raise ValueError("This is no look of a radar.")
        return look

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class StopOrder:
    """Why a run is to end, and which look's policy it is to publish."""

    why: str
    since: int | None
    """The number of the look that people like best; None is the start."""


def order_stop(work_dir: Path, order: StopOrder) -> None:
    """Lay the order where the run looks after every step. The first one stays."""
    path = work_dir / FOLDER / ORDER
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".tmp")
    aside.write_text(json.dumps(asdict(order), ensure_ascii=False), encoding="utf-8")
    aside.rename(path)


def stop_order(work_dir: Path) -> StopOrder | None:
    """Return the order to stop, if there is one."""
    path = work_dir / FOLDER / ORDER
    if not path.is_file():
        return None
    return StopOrder(**json.loads(path.read_text(encoding="utf-8")))
