"""What a round does next by itself, or what it waits for. A plain function of how things stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ActName = Literal["open", "ask", "reward", "policy", "evaluate", "measure", "promote", "keep_back"]
Skippable = Literal["", "comparisons", "reward", "suite"]
"""What a person may choose not to wait for."""
WITHOUT_SUITE = "Go on without the suite"
MOST_KEPT_BACK = 2
"""After so many rounds in a row without a promotion somebody has to look at why."""

WHAT: dict[ActName, str] = {
    "open": "Open the next round",
    "ask": "Ask for completions",
    "reward": "Freeze preferences and train a reward model",
    "policy": "Freeze and train a policy",
    "evaluate": "Start the blind evaluation",
    "measure": "Start the evaluation suite",
    "promote": "Promote",
    "keep_back": "End the round without a promotion",
}


@dataclass(frozen=True)
class Act:
    """Something that is to be done now."""

    name: ActName

    def __str__(self) -> str:
        return f"{WHAT[self.name]}."


@dataclass(frozen=True)
class Waiting:
    """Nothing to do yet, and why. `skip` says what not waiting would do, if one need not."""

    reason: str
    skip: str = ""
    skips: Skippable = ""

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True)
class NeedsPerson:
    """A person must decide, and about what. `skip` says what skipping would do, if one can."""

    reason: str
    can_retry: bool = False
    skip: str = ""
    skips: Skippable = ""

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True)
class Job:
    """How the run of one stage stands."""

    state: Literal["missing", "waiting", "done", "failed"] = "missing"
    name: str = ""
    reason: str = ""
    """Of one that failed: what happened."""


@dataclass(frozen=True)
class RoundState:
    """Everything that decides what comes next in a project's loop."""

    policy: str = ""
    """The promoted checkpoint; empty before the first promotion."""
    is_automatic: bool = False
    """Rounds open by themselves."""
    promotes: bool = True
    """A round may promote or keep back without a person."""
    kept_back: int = 0
    """Rounds in a row that ended without a promotion."""
    is_open: bool = False
    driver: str = ""
    """In whose name the open round goes on by itself; empty where it is driven by hand."""
    driver_may: bool = True
    sampling: Job = Job()
    items: int = 0
    answered: int = 0
    comparisons_are_in: bool = False
    new_comparisons: int = 0
    wanted_comparisons: int | None = None
    """Enough to train on, whatever else still waits; None waits for the whole batch."""
    skipped: frozenset[str] = frozenset()
    """Of Skippable: what a person chose not to wait for."""
    older_reward_model: str = ""
    needs_reward_model: bool = True
    reward: Job = Job()
    training: Job = Job()
    evaluation: Job = Job()
    suite: Job = Job()
    pairs: int = 0
    judged: int = 0
    votes_are_in: bool = False
    refusal: str = ""
    """Of the gate; empty where it is open."""
    may_still_open: bool = False
    """What keeps it closed can be mended without another policy, such as too few voters."""
    halted: ActName | Literal[""] = ""
    """The act that was refused when it was tried last."""
    halted_because: str = ""


def next_act(state: RoundState) -> Act | Waiting | NeedsPerson:
    """Return what the loop does next, what it waits for, or what a person must decide.

    >>> str(next_act(RoundState(policy="sft-1", is_automatic=True)))
    'Open the next round.'
    >>> next_act(RoundState(policy="sft-1", is_open=True, driver="Eve"))
    Act(name='ask')
    """
    found = _next(state)
    if isinstance(found, Act) and found.name == state.halted:
        words = f"{WHAT[found.name]}: {state.halted_because}"
        if found.name == "measure":
            return NeedsPerson(words, can_retry=True, skip=WITHOUT_SUITE, skips="suite")
        return NeedsPerson(words, can_retry=True)
    return found


def _next(state: RoundState) -> Act | Waiting | NeedsPerson:
    if not state.policy:
        return NeedsPerson(
            "Nothing is promoted yet. Train a first policy on demonstrations and promote it; "
            "rounds begin with it."
        )
    if not state.is_open:
        return _between_rounds(state)
    if not state.driver:
        return Waiting("This round is driven by hand.")
    if not state.driver_may:
        return NeedsPerson(
            f"This round went on in the name of {state.driver}, who no longer trains here. "
            "Somebody else has to run it."
        )
    for step in (_collect, _learn, _decide):
        if (found := step(state)) is not None:
            return found
    raise AssertionError("the decision is the last step")


def _between_rounds(state: RoundState) -> Act | Waiting | NeedsPerson:
    if not state.is_automatic:
        return Waiting("No round is open, and none opens by itself.")
    if not state.driver_may:
        return NeedsPerson(
            f"Rounds opened in the name of {state.driver}, who no longer trains here. Somebody "
            "else has to switch them on."
        )
    if state.kept_back >= MOST_KEPT_BACK:
        return NeedsPerson(
            f"The last {state.kept_back} rounds ended without a promotion. Look at why, change "
            "what they train with, then run the next round."
        )
    return Act("open")


def _collect(state: RoundState) -> Act | Waiting | NeedsPerson | None:
    """Completions, and people who compare them. A round that trains already is past this."""
    if state.reward.state != "missing" or state.training.state != "missing":
        return None
    if state.sampling.state != "done":
        return _run(state.sampling, "ask")
    if not state.items:
        return NeedsPerson(
            f"{state.sampling.name} gave nothing to compare: all completions of a prompt were "
            "alike. Ask for completions at a higher temperature."
        )
    if state.comparisons_are_in or "comparisons" in state.skipped:
        return None
    wanted = state.wanted_comparisons
    if wanted is not None and state.new_comparisons >= wanted and state.answered:
        return None
    until = "" if wanted is None else f" Training begins at {wanted} new judgements, or with all."
    return Waiting(
        f"Waits for people: {state.answered} of {state.items} items are answered, "
        f"{state.new_comparisons} new judgements are in.{until}",
        skip="Train on what is in" if state.answered else "",
        skips="comparisons",
    )


def _learn(state: RoundState) -> Act | Waiting | NeedsPerson | None:
    skips = "reward" in state.skipped or not state.needs_reward_model
    if not skips and state.training.state == "missing" and state.reward.state != "done":
        older = state.older_reward_model
        skip = f"Go on with {older}" if older else ""
        return _run(state.reward, "reward", skip, "reward")
    if state.training.state != "done":
        return _run(state.training, "policy")
    if state.evaluation.state == "missing":
        return Act("evaluate")
    if state.suite.state == "missing" and "suite" not in state.skipped:
        return Act("measure")  # while people compare; they need not wait for it
    return None if state.evaluation.state == "done" else _run(state.evaluation, "evaluate")


def _run(
    job: Job, act: ActName, skip: str = "", skips: Skippable = ""
) -> Act | Waiting | NeedsPerson:
    """Return what follows from a run that is not done: start it, wait, or ask a person."""
    match job.state:
        case "missing":
            return Act(act)
        case "failed":
            return NeedsPerson(f"{job.name}: {job.reason}", can_retry=True, skip=skip, skips=skips)
    return Waiting(f"Waits for {job.name}.")


def _decide(state: RoundState) -> Act | Waiting | NeedsPerson:
    """The gate is read when the suite is done, and when it is open or all votes are in."""
    is_measured = state.suite.state == "done" or "suite" in state.skipped
    may_be_read = not state.refusal or state.votes_are_in
    if not is_measured and (may_be_read or state.suite.state == "failed"):
        return _run(state.suite, "measure", WITHOUT_SUITE, "suite")
    if not state.refusal:
        if state.promotes:
            return Act("promote")
        return NeedsPerson("The gate is open. Promote the child, or end the round.")
    if not state.votes_are_in:
        return Waiting(
            f"Waits for people: {state.judged} of {state.pairs} blind comparisons are answered."
        )
    if state.promotes and not state.may_still_open:
        return Act("keep_back")
    return NeedsPerson(f"The gate is closed. {state.refusal}")
