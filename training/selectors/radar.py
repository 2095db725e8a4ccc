"""How people like a run's policy on its way, beside what its reward model says of it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from django.db.models import Count

from annotations import exports
from annotations.algorithms.confidence_sequence import AnytimeInterval
from annotations.algorithms.paired import Estimate, mean
from annotations.algorithms.radar import Look, Parting, parting
from training.models import Checkpoint, RadarLook, Run
from training.selectors.evaluations import SCORES, share


@dataclass(frozen=True)
class RadarPoint:
    """One look: how far it was, what it brought, and how people like it beside the start."""

    look: RadarLook
    gain: Estimate
    """Reward above the start's, with its 95 % interval over prompts."""
    win_rate: AnytimeInterval
    """Over the prompts that are finished; it holds for every look."""
    votes: int
    awaited: int
    certain: int
    """Prompts that nobody has to judge."""


@dataclass(frozen=True)
class Radar:
    """What is known of a run's looks, as the votes are now."""

    points: list[RadarPoint]
    ahead: list[float]
    """Distances that the run has not reached."""
    stops: bool
    parting: Parting | None
    why: str
    """What the parting is, in words; empty where there is none."""

    @property
    def awaited(self) -> int:
        return sum(point.awaited for point in self.points)

    @property
    def parted_at(self) -> RadarPoint | None:
        return None if self.parting is None else self.points[self.parting.at]


def radar_of(run: Run) -> Radar | None:
    """Return how the run's radar stands; None for a run without one."""
    distances = [float(word) for word in str(run.config.get("radar_kl", "")).split()]
    if not distances:
        return None
    run = _asked(run)
    looks = list(run.radar_looks.order_by("number"))
    items = _items(run, looks)
    votes = _votes(run, looks, items)
    seen = [_look(look, items, votes) for look in looks]
    points = [_point(run, *both, items, votes) for both in zip(looks, seen, strict=True)]
    parted = parting(seen, len(distances), seed=run.pk)
    reached = max((look.number for look in looks), default=-1)
    return Radar(
        points=points,
        ahead=distances[reached + 1 :],
        stops=bool(run.config.get("radar_stop")),
        parting=parted,
        why=_in_words(points, parted) if parted else "",
    )


def _asked(run: Run) -> Run:
    """Return the run that asked people: of one that makes a checkpoint again, the original."""
    if (number := run.request.get("rebuilds")) is None:
        return run
    original = Checkpoint.objects.select_related("run__project").filter(id=number).first()
    return original.run if original is not None and original.run is not None else run


@dataclass(frozen=True)
class _Item:
    batch: str
    prompt_id: int
    awaited: int
    """Votes that it waits for."""


def _items(run: Run, looks: Sequence[RadarLook]) -> dict[int, _Item]:
    given = Count("annotations", filter=exports.in_force("annotations__"))
    found = run.project.items.filter(batch__in=[look.batch for look in looks])
    rows = found.annotate(given=given).order_by("id")
    return {
        number: _Item(batch, prompt_id, max(overlap - given, 0))
        for number, batch, prompt_id, overlap, given in rows.values_list(
            "id", "batch", "prompt_id", "overlap", "given"
        )
    }


def _votes(
    run: Run, looks: Sequence[RadarLook], items: Mapping[int, _Item]
) -> dict[int, list[float]]:
    """Return what each vote on an item says for the policy: 1 better than the start, 0 worse."""
    votes: dict[int, list[float]] = {number: [] for number in items}
    for battle in exports.battles(run.project_id, *(look.batch for look in looks)):
        votes[battle["item_id"]].append(_score(battle))
    return votes


def _score(battle: exports.BattleRow) -> float:
    outcome = battle["outcome"]
    if outcome in SCORES:
        return SCORES[outcome]
    side = battle["left_checkpoint_id"] if outcome == "left" else battle["right_checkpoint_id"]
    return 1.0 if side is None else 0.0  # the start is a checkpoint, a policy on its way is none


def _look(look: RadarLook, items: Mapping[int, _Item], votes: Mapping[int, list[float]]) -> Look:
    mine = {number: item for number, item in items.items() if item.batch == look.batch}
    certain: dict[Hashable, float] = {
        row["prompt_id"]: row["certain"] for row in look.answers if row["certain"] is not None
    }
    judged: dict[Hashable, float] = {
        item.prompt_id: fmean(votes[number])
        for number, item in mine.items()
        if votes[number] and not item.awaited
    }
    waiting = [item.prompt_id for item in mine.values() if item.awaited]
    return Look(_gain(look).value, {**certain, **judged}, certain, waiting)


def _point(
    run: Run,
    look: RadarLook,
    seen: Look,
    items: Mapping[int, _Item],
    votes: Mapping[int, list[float]],
) -> RadarPoint:
    mine = {number: item for number, item in items.items() if item.batch == look.batch}
    return RadarPoint(
        look=look,
        gain=_gain(look),
        win_rate=seen.win_rate(seed=run.pk),
        votes=sum(len(votes[number]) for number in mine),
        awaited=sum(item.awaited for item in mine.values()),
        certain=len(seen.certain),
    )


def _gain(look: RadarLook) -> Estimate:
    return mean([row["policy_score"] - row["start_score"] for row in look.answers])


def _in_words(points: Sequence[RadarPoint], parted: Parting) -> str:
    at = points[parted.at]
    before = None if parted.since is None else points[parted.since]
    liked, distance = (
        ("50 %", "the start")
        if before is None
        else (share(before.win_rate.rate), nats(before.look.distance))
    )
    gain = 0.0 if before is None else before.gain.value
    return (
        f"reward and people have parted at {nats(at.look.distance)} of KL. Its reward there is "
        f"{at.gain.value:.2f} above the start's ({gain:.2f} at {distance}), but people prefer it "
        f"to the start in {share(at.win_rate.rate)} of {at.win_rate.n} prompts ({liked} at "
        f"{distance})."
    )


def nats(distance: float) -> str:
    """Return a distance in words.

    >>> nats(1.0), nats(2.5)
    ('1 nat', '2.5 nats')
    """
    return f"{distance:g} nat{'' if distance == 1 else 's'}"
