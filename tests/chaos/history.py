"""Hold what people were told against what is there in the end.

Pure: a history of requests with their answers and the state of the platform go in, sentences about
broken laws come out. An answer is a register that holds nothing or one choice. A request without an
answer may have had its effect, may have it at any later moment, or never: a server that was
suspended reads it when it wakes up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Answer = Literal["done", "before", "refused", "lost"]
"""Carried out; handed in before, so that nothing was changed; refused; no answer at all."""


@dataclass(frozen=True)
class Act:
    """One request of one person about one assignment, in the order in which they were sent."""

    assignment: int
    name: Literal["submit", "undo"]
    choice: str
    answer: Answer


@dataclass(frozen=True)
class Reading:
    """An answer that no page should give, whatever breaks: an error page, a wrong redirect."""

    path: str
    status: int
    text: str


@dataclass(frozen=True)
class History:
    """What people asked for and were told."""

    acts: Sequence[Act] = ()
    troubles: Sequence[Reading] = ()
    asked_runs: Sequence[int] = ()
    silent_people: Sequence[str] = ()
    """Who got nothing done after the last fault was over."""


@dataclass(frozen=True)
class Kept:
    """An annotation as it lies in the database."""

    annotation: int
    assignment: int
    item: int
    person: int
    choice: str
    surplus: bool = False
    in_force: bool = True
    earnings: tuple[int, ...] = ()
    """Entries of the ledger about it, reversals below zero."""


@dataclass(frozen=True)
class Place:
    """An item: how many answers it wants, how many it would still hand out, how many it has out."""

    item: int
    overlap: int
    open_slots: int
    leased: int


@dataclass(frozen=True)
class Ended:
    """A run after everything has come to rest."""

    run: int
    state: str
    error: str = ""
    times_lost: int = 0
    cancel_asked: bool = False
    alive: bool = False
    """It waits behind others, or gave a sign of life a moment ago."""
    checkpoints: int = 0
    config: str = ""
    digest: str = ""
    """Of the weights that it made."""
    repeated_steps: tuple[int, ...] = ()
    """Steps that two attempts did."""


@dataclass(frozen=True)
class Folder:
    """A checkpoint in the artifact store."""

    path: str
    whole: bool
    named: bool
    """Whether a row names it."""


@dataclass(frozen=True)
class End:
    """The platform after everything has come to rest."""

    kept: Sequence[Kept] = ()
    places: Sequence[Place] = ()
    runs: Sequence[Ended] = ()
    folders: Sequence[Folder] = ()
    left_processes: Sequence[str] = ()
    rate: int = 0
    """What an answer earns."""
    most_losses: int = 3
    damaged: Sequence[str] = field(default=())
    """What the database says of its own files."""


Law = Callable[[History, End], Iterator[str]]


def possible(acts: Iterable[Act]) -> set[str | None]:
    """Return what an assignment may say after these requests; None is no answer.

    >>> possible([Act(1, "submit", "tie", "done")])
    {'tie'}
    >>> sorted(possible([Act(1, "submit", "tie", "lost")]), key=str)
    [None, 'tie']
    >>> possible([Act(1, "submit", "tie", "lost"), Act(1, "submit", "left", "before")])
    {'tie'}
    """
    states: set[str | None] = {None}
    late: set[str] = set()
    late_undo = False
    for act in acts:
        if act.answer == "lost":
            late_undo |= act.name == "undo"
            late |= {act.choice} if act.name == "submit" else set()
        elif act.name == "undo" and act.answer == "done":
            states = {None}
        elif act.name == "submit" and act.answer == "done":
            states = {act.choice}
        elif act.name == "submit" and act.answer == "before":
            states.discard(None)
        if None in states:
            states |= late
        if late_undo:
            states.add(None)
            states |= late
    return states


def acts_by_assignment(history: History) -> Mapping[int, list[Act]]:
    """Return the requests about each assignment, in order."""
    acts: defaultdict[int, list[Act]] = defaultdict(list)
    for act in history.acts:
        acts[act.assignment].append(act)
    return acts


def standing(end: End) -> dict[int, list[Kept]]:
    """Return the annotations in force of each assignment."""
    found: defaultdict[int, list[Kept]] = defaultdict(list)
    for kept in end.kept:
        if kept.in_force:
            found[kept.assignment].append(kept)
    return dict(found)


def nothing_acknowledged_is_lost(history: History, end: End) -> Iterator[str]:
    """Law 1: what a person was told was kept is there, as they said it."""
    there = standing(end)
    for assignment, acts in acts_by_assignment(history).items():
        may_be = possible(acts)
        said = {kept.choice for kept in there.get(assignment, [])} or {None}
        if not said <= may_be:
            yield (
                f"Assignment {assignment} says {sorted(map(str, said))} and may say "
                f"{sorted(map(str, may_be))} after {[(a.name, a.choice, a.answer) for a in acts]}."
            )


def nothing_is_made_up(history: History, end: End) -> Iterator[str]:
    """An annotation was sent by somebody."""
    sent = defaultdict(set)
    for act in history.acts:
        if act.name == "submit":
            sent[act.assignment].add(act.choice)
    for kept in end.kept:
        if kept.choice not in sent[kept.assignment]:
            yield f"Annotation {kept.annotation} says {kept.choice}, which nobody sent."


def nothing_is_double(_history: History, end: End) -> Iterator[str]:
    """Law 2: one answer of a person to an item, and one to an assignment."""
    for assignment, found in standing(end).items():
        if len(found) > 1:
            yield f"Assignment {assignment} has {len(found)} answers in force."
    pairs = Counter((kept.item, kept.person) for kept in end.kept if kept.in_force)
    for (item, person), times in pairs.items():
        if times > 1:
            yield f"Person {person} answered item {item} {times} times."


def no_item_above_its_overlap(_history: History, end: End) -> Iterator[str]:
    """Law 2: the queue collects as many answers as were wanted; a place is lost to nobody."""
    counted = Counter(kept.item for kept in end.kept if kept.in_force and not kept.surplus)
    for place in end.places:
        answers = counted[place.item]
        if answers > place.overlap:
            yield f"Item {place.item} has {answers} answers and wants {place.overlap}."
        if answers + place.leased + place.open_slots != place.overlap:
            yield (
                f"Item {place.item}: {answers} answers, {place.leased} handed out and "
                f"{place.open_slots} places make no {place.overlap}."
            )


def everybody_is_paid_once(_history: History, end: End) -> Iterator[str]:
    """An answer in force has earned its rate, one that was taken back nothing."""
    for kept in end.kept:
        due = end.rate if kept.in_force else 0
        if sum(kept.earnings) != due:
            yield f"Annotation {kept.annotation} earned {sum(kept.earnings)} and is due {due}."


def every_run_ends(history: History, end: End) -> Iterator[str]:
    """Law 8: no run is forgotten, and one that did not succeed says why."""
    runs = {run.run: run for run in end.runs}
    for number in history.asked_runs:
        if number not in runs:
            yield f"Run {number} is gone."
    for run in end.runs:
        if run.state in ("queued", "running") and not run.alive:
            yield f"Run {run.run} is {run.state} and nobody works at it."
        if run.state == "failed" and not run.error:
            yield f"Run {run.run} failed without a word."
        if run.state == "cancelled" and not run.cancel_asked:
            yield f"Run {run.run} was cancelled and nobody asked for it."
        if run.times_lost > end.most_losses:
            yield f"Run {run.run} was lost {run.times_lost} times and tried again."


def every_step_counts_once(_history: History, end: End) -> Iterator[str]:
    """Two attempts never go on at once. One that slept until it was given up wakes up, and does a
    step or two before it hears of that: nobody can keep it from doing so."""
    for run in end.runs:
        if run.repeated_steps and not run.times_lost:
            yield f"Run {run.run} has the steps {run.repeated_steps} twice."


def checkpoints_are_whole(_history: History, end: End) -> Iterator[str]:
    """Law 10: a checkpoint is whole or absent, and a run that succeeded has one."""
    for folder in end.folders:
        if not folder.whole:
            named = "a row names it" if folder.named else "no row names it"
            yield f"{folder.path} is not whole; {named}."
    for run in end.runs:
        due = 1 if run.state == "succeeded" else 0
        if run.checkpoints != due:
            yield f"Run {run.run} {run.state} and has {run.checkpoints} checkpoints."


def a_resumed_run_ends_as_an_undisturbed_one(_history: History, end: End) -> Iterator[str]:
    """Law 8: runs of equal settings made equal weights, however often they were cut off."""
    made: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for run in end.runs:
        if run.digest:
            made[run.config].setdefault(run.digest, run.run)
    for config, digests in made.items():
        if len(digests) > 1:
            yield f"Equal settings ({config}) gave other weights: runs {sorted(digests.values())}."


def nobody_reads_an_error_page(history: History, _end: End) -> Iterator[str]:
    """What cannot be done now is a 503 that the page bears with, or a sentence."""
    for reading in history.troubles:
        yield f"{reading.path} answered {reading.status}: {reading.text[:200]}"


def it_goes_on_afterwards(history: History, end: End) -> Iterator[str]:
    """Once the faults are over everybody can work, without a hand laid on anything."""
    for person in history.silent_people:
        yield f"{person} got nothing done after the last fault."
    for process in end.left_processes:
        yield f"A process was left behind: {process}"
    yield from end.damaged


LAWS: dict[str, Law] = {
    "nothing acknowledged is lost or changed": nothing_acknowledged_is_lost,
    "nothing is made up": nothing_is_made_up,
    "nothing is double": nothing_is_double,
    "no item above its overlap": no_item_above_its_overlap,
    "everybody is paid once": everybody_is_paid_once,
    "every run ends": every_run_ends,
    "every step counts once": every_step_counts_once,
    "checkpoints are whole": checkpoints_are_whole,
    "a resumed run ends as an undisturbed one": a_resumed_run_ends_as_an_undisturbed_one,
    "nobody reads an error page": nobody_reads_an_error_page,
    "it goes on afterwards": it_goes_on_afterwards,
}


def verdicts(history: History, end: End) -> dict[str, list[str]]:
    """Return what breaks each law; nothing breaks one that holds."""
    return {name: list(law(history, end)) for name, law in LAWS.items()}
