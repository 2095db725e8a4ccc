"""What must hold before a checkpoint may be promoted, and whether it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from annotations import exports
from annotations.algorithms.confidence_sequence import AnytimeInterval
from training.models import Checkpoint, Evaluation, Gate, Run
from training.selectors.checkpoints import promoted_checkpoint
from training.selectors.evaluations import batch_progress, certain, gate_result, of_same_pair, share
from training.selectors.radar import nats, radar_of
from training.selectors.recalls import recalled_annotations
from training.selectors.regressions import regressions_failed

if TYPE_CHECKING:
    from annotations.models import Project


@dataclass(frozen=True)
class Condition:
    """One thing that the gate asks for, and how it stands."""

    title: str
    wanted: str
    found: str
    refusal: str = ""
    """What is lacking and what to do; empty where the condition is met."""
    can_change: bool = False
    """This very checkpoint may still meet it, if somebody does something about it."""
    run: Run | None = None
    """Where to look at it."""

    @property
    def is_met(self) -> bool:
        return not self.refusal


def gate_of(project: Project) -> Gate:
    """Return the project's thresholds; those of a project that set none are the defaults."""
    return Gate.objects.filter(project=project).first() or Gate(project=project)


def deciding_evaluation(checkpoint: Checkpoint) -> Evaluation | None:
    """Return the newest evaluation against the checkpoint in force, else the newest at all."""
    promoted = promoted_checkpoint(checkpoint.project)
    related = checkpoint.evaluations.select_related("project", "child", "parent", "run")
    against = related.filter(parent=promoted).first() if promoted else None
    return against or related.first()


def gate_refusal(checkpoint: Checkpoint, evaluation: Evaluation | None) -> str:
    """Return why the checkpoint may not be promoted on this evaluation, or an empty string."""
    current = promoted_checkpoint(checkpoint.project)
    if current is None:  # nothing to beat
        return _recalled(checkpoint).refusal
    if evaluation is None:
        return f"Promotion needs a blind evaluation of {checkpoint} against {current}. Start one."
    if evaluation.child_id != checkpoint.pk:
        return f"That evaluation is of {evaluation.child}, not of {checkpoint}. Choose another."
    unmet = [one.refusal for one in gate_conditions(evaluation) if not one.is_met]
    return " ".join(unmet[:1] if evaluation.parent_id != current.pk else unmet)


def may_still_open(evaluation: Evaluation) -> bool:
    """Return whether all that keeps the gate closed can still be mended for this checkpoint."""
    unmet = [one for one in gate_conditions(evaluation) if not one.is_met]
    return bool(unmet) and all(one.can_change for one in unmet)


def gate_conditions(evaluation: Evaluation) -> list[Condition]:
    """Return each condition of the gate with the figure that it goes by, as things stand now."""
    settings = gate_of(evaluation.project)
    found = [_rival(evaluation), _win_rate(evaluation, settings), *_people(evaluation, settings)]
    if settings.largest_kl is not None:
        found.append(_kl(evaluation.child, settings.largest_kl))
    return [
        *found,
        _regressions(evaluation.child),
        _hacking(evaluation.child),
        _recalled(evaluation.child),
    ]


def _rival(evaluation: Evaluation) -> Condition:
    current = promoted_checkpoint(evaluation.project)
    refusal = ""
    if current is not None and evaluation.parent_id != current.pk:
        refusal = (
            f"That evaluation is against {evaluation.parent}, but {current} is promoted now. "
            f"Evaluate against {current}."
        )
    wanted = f"{current}, which is promoted" if current else "any"
    return Condition("Compared with", wanted, str(evaluation.parent), refusal, can_change=True)


def _win_rate(evaluation: Evaluation, settings: Gate) -> Condition:
    """Return how the deciding interval stands; a repeated evaluation makes it a sequence."""
    result = gate_result(evaluation)
    least, interval = percent(settings.least_rate), f"{share(result.low)} to {share(result.high)}"
    is_sequence = isinstance(result, AnytimeInterval)
    how = "for every look, over" if is_sequence else "of all"
    what = ("prompt" if is_sequence else "vote") + ("" if result.n == 1 else "s")
    title, wanted = "Win rate", f"95 % interval above {least}"
    found = f"{share(result.rate)}, interval {interval}, {how} {result.n} {what}"
    if result.low > settings.least_rate:
        return Condition(title, wanted, found)
    progress = batch_progress(evaluation.project, evaluation.batch)
    if not is_sequence:
        refusal = (
            f"The win rate is {share(result.rate)} with a 95 % interval of {interval} over "
            f"{result.n} votes{_of_certain(evaluation)}; it must lie above {least}. "
            "Evaluate on more prompts, or train on."
        )
    elif len(of_same_pair(evaluation)) > 1:
        refusal = (
            f"These two were evaluated more than once, so all votes are one sequence: {interval} "
            f"over {result.n} {what}; it must lie above {least}. Wait for further votes, or train "
            "on."
        )
    else:
        refusal = (
            f"{progress.answered} of {progress.items} comparisons are answered. Wait for the "
            "others, or until the interval that allows for looking after every vote, now "
            f"{interval}, lies above {least}."
        )
    return Condition(title, wanted, found, refusal)


def _people(evaluation: Evaluation, settings: Gate) -> list[Condition]:
    """Return how many people cast how many votes, over all evaluations of the two checkpoints."""
    voters = [
        battle["annotator"]
        for one in of_same_pair(evaluation)
        for battle in exports.battles(one.project_id, one.batch)
    ]
    conditions = []
    for title, least, found, cure in (
        ("Votes of people", settings.least_votes, len(voters), "Collect more"),
        ("People who voted", settings.least_voters, len(set(voters)), "Let more people compare"),
    ):
        refusal = f"{title}: {found}; this project asks for at least {least}. {cure}."
        # An evaluation in which all is certain needs nobody, unless the project asks for people.
        is_default = title != "Votes of people" and least == 1
        is_met = found >= least or is_default
        wanted = f"at least {least}" if least and not is_default else "any number"
        said = "" if is_met else refusal
        conditions.append(Condition(title, wanted, str(found), said, can_change=True))
    return conditions


def _kl(child: Checkpoint, largest: float) -> Condition:
    measured = child.run.results.get("kl") if child.run else None
    wanted = f"at most {largest:g} nats"
    if not isinstance(measured, int | float):
        refusal = (
            f"The KL of {child} to its reference was not measured, but this project asks for "
            f"{wanted}. Leave the largest KL empty, or train with a stage that measures it."
        )
        return Condition("KL to the reference", wanted, "not measured", refusal)
    refusal = (
        f"The KL of {child} to its reference is {measured:.2f} nats; this project asks for "
        f"{wanted}. Train with a dearer KL."
        if measured > largest
        else ""
    )
    return Condition("KL to the reference", wanted, f"{measured:.2f} nats", refusal)


def _regressions(child: Checkpoint) -> Condition:
    """Return whether reported faults stay mended. A person decides about one that came back."""
    failed = regressions_failed(child)
    found = f"{len(failed)} came back or not tried" if failed else "all passed"
    wanted = "none that was fixed came back"
    return Condition("Regression cases", wanted, found, " ".join(failed), can_change=True)


def _hacking(child: Checkpoint) -> Condition:
    """Return whether the run slid, as its guards tell, or as people tell its radar."""
    title, wanted, run = "Sign of reward hacking", "none", child.run
    if run is None:
        return Condition(title, wanted, "none")
    radar = radar_of(run)
    if radar is not None and radar.parted_at is not None:
        found = f"reward and people parted at {nats(radar.parted_at.look.distance)}"
        refusal = (
            f"{run} carries the flag of its radar: {radar.why} Train again with a dearer KL, or on "
            "a newer reward model."
        )
        return Condition(title, wanted, found, refusal, run=run)
    if run.results.get("stopped_early"):
        refusal = (
            f"{run} stopped itself, a sign that it learnt to please the reward model and not "
            "people. Look at its samples; train again with a dearer KL, or on a newer reward model."
        )
        return Condition(title, wanted, "its run stopped itself", refusal, run=run)
    if radar is None:
        return Condition(title, wanted, "none")
    awaited = f"; its radar waits for {radar.awaited} votes" if radar.awaited else ""
    return Condition(title, wanted, f"none{awaited}", run=run)


def _recalled(child: Checkpoint) -> Condition:
    """Return whether anything that it learnt from was recalled since."""
    count = recalled_annotations(child)
    refusal = (
        f"{child} learnt from {count:,} annotation{'s' if count > 1 else ''} that "
        f"{'were' if count > 1 else 'was'} recalled since. Make it again without them (on its "
        "page), or lift the recall."
        if count
        else ""
    )
    found = f"{count:,}" if count else "none"
    return Condition("Recalled annotations behind it", "none", found, refusal)


def _of_certain(evaluation: Evaluation) -> str:
    words = str(certain(evaluation))
    return f", {words}" if words else ""


def percent(value: float) -> str:
    """Return a threshold in percent.

    >>> percent(0.5), percent(0.525)
    ('50 %', '52.5 %')
    """
    return f"{value * 100:.4g} %"
