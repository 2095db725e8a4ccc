"""Each law is broken by what it is there to find, and by nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.chaos.history import (
    LAWS,
    Act,
    End,
    Ended,
    Folder,
    History,
    Kept,
    Place,
    Reading,
    possible,
    verdicts,
)
from tests.chaos.schedule import FILL, KINDS, plan

ONE = Kept(annotation=1, assignment=1, item=1, person=1, choice="tie", earnings=(5,))
TWO = Kept(annotation=2, assignment=2, item=1, person=2, choice="left", earnings=(5,))
TAKEN_BACK = Kept(3, 3, 2, 1, "left", in_force=False, earnings=(5, -5))
RUN = Ended(run=1, state="succeeded", checkpoints=1, config="sft", digest="a")
FOLDER = Folder("checkpoints/run-1", whole=True, named=True)

HISTORY = History(
    acts=[
        Act(1, "submit", "tie", "done"),
        Act(2, "submit", "left", "lost"),
        Act(2, "submit", "left", "before"),
        Act(3, "submit", "left", "done"),
        Act(3, "undo", "", "done"),
    ],
    asked_runs=[1, 2, 3, 4],
)
END = End(
    kept=[ONE, TWO, TAKEN_BACK],
    places=[Place(1, overlap=3, open_slots=1, leased=0), Place(2, 3, 2, 1)],
    runs=[
        RUN,
        Ended(run=2, state="failed", error="The disk is full.", times_lost=3),
        Ended(run=3, state="cancelled", cancel_asked=True),
        Ended(run=4, state="queued", alive=True),
    ],
    folders=[FOLDER],
    rate=5,
)


def test_a_good_day_breaks_no_law() -> None:
    assert verdicts(HISTORY, END) == {law: [] for law in LAWS}


LOST = "nothing acknowledged is lost or changed"
ENDS = "every run ends"
WHOLE = "checkpoints are whole"
PLANTED: list[tuple[str, History, End]] = [
    (LOST, HISTORY, replace(END, kept=[TWO, TAKEN_BACK])),
    (LOST, HISTORY, replace(END, kept=[replace(ONE, choice="left"), TWO, TAKEN_BACK])),
    (LOST, HISTORY, replace(END, kept=[ONE, TWO, replace(TAKEN_BACK, in_force=True)])),
    ("nothing is made up", replace(HISTORY, acts=HISTORY.acts[1:]), END),
    (
        "nothing is double",
        HISTORY,
        replace(END, kept=[ONE, replace(ONE, annotation=9), TWO, TAKEN_BACK]),
    ),
    (
        "nothing is double",
        replace(HISTORY, acts=[*HISTORY.acts, Act(4, "submit", "tie", "done")]),
        replace(END, kept=[ONE, replace(ONE, annotation=9, assignment=4), TWO, TAKEN_BACK]),
    ),
    ("no item above its overlap", HISTORY, replace(END, places=[Place(1, 1, 0, 0)])),
    ("no item above its overlap", HISTORY, replace(END, places=[Place(1, 3, 0, 0)])),
    ("everybody is paid once", HISTORY, replace(END, kept=[replace(ONE, earnings=()), TWO])),
    ("everybody is paid once", HISTORY, replace(END, kept=[replace(ONE, earnings=(5, 5)), TWO])),
    (
        "everybody is paid once",
        HISTORY,
        replace(END, kept=[ONE, TWO, replace(TAKEN_BACK, earnings=(5,))]),
    ),
    (ENDS, HISTORY, replace(END, runs=[*END.runs[:3], replace(END.runs[3], alive=False)])),
    (ENDS, HISTORY, replace(END, runs=END.runs[:3])),
    (ENDS, HISTORY, replace(END, runs=[RUN, replace(END.runs[1], error=""), *END.runs[2:]])),
    (ENDS, HISTORY, replace(END, runs=[RUN, replace(END.runs[1], times_lost=4), *END.runs[2:]])),
    (
        ENDS,
        HISTORY,
        replace(END, runs=[*END.runs[:2], Ended(3, "cancelled"), *END.runs[3:]]),
    ),
    (
        "every step counts once",
        HISTORY,
        replace(END, runs=[replace(RUN, repeated_steps=(7,)), *END.runs[1:]]),
    ),
    (WHOLE, HISTORY, replace(END, folders=[replace(FOLDER, whole=False)])),
    (WHOLE, HISTORY, replace(END, folders=[FOLDER, Folder("run-9", whole=False, named=False)])),
    (WHOLE, HISTORY, replace(END, runs=[replace(RUN, checkpoints=0), *END.runs[1:]])),
    (
        "a resumed run ends as an undisturbed one",
        HISTORY,
        replace(END, runs=[*END.runs, replace(RUN, run=5, digest="b")]),
    ),
    (
        "nobody reads an error page",
        replace(HISTORY, troubles=[Reading("/assignments/1/submit/", 500, "Server error")]),
        END,
    ),
    ("it goes on afterwards", replace(HISTORY, silent_people=["bob"]), END),
    ("it goes on afterwards", HISTORY, replace(END, left_processes=["17 gunicorn"])),
    ("it goes on afterwards", HISTORY, replace(END, damaged=["row 3 missing from index"])),
]


@pytest.mark.parametrize(("law", "history", "end"), PLANTED)
def test_it_finds_what_was_planted(law: str, history: History, end: End) -> None:
    assert verdicts(history, end)[law]


def test_every_law_has_something_planted_against_it() -> None:
    assert {law for law, _, _ in PLANTED} == set(LAWS)


@pytest.mark.parametrize(
    ("acts", "may_say"),
    [
        ([], {None}),
        ([("submit", "a", "done"), ("submit", "b", "before")], {"a"}),
        ([("submit", "a", "lost"), ("submit", "b", "before")], {"a"}),
        ([("submit", "a", "lost"), ("submit", "a", "done"), ("undo", "", "done")], {None, "a"}),
        ([("submit", "a", "done"), ("undo", "", "lost")], {None, "a"}),
        ([("submit", "a", "done"), ("undo", "", "refused")], {"a"}),
        ([("submit", "a", "done"), ("undo", "", "lost"), ("submit", "b", "done")], {"b", None}),
        ([("submit", "a", "refused")], {None}),
    ],
)
def test_a_request_without_an_answer_may_have_its_effect_at_any_later_moment(
    acts: list[tuple[str, str, str]], may_say: set[str | None]
) -> None:
    said = possible([Act(1, name, choice, answer) for name, choice, answer in acts])
    assert said == may_say


def test_a_seed_gives_the_same_day_again() -> None:
    first = plan(3, 60, ["web", "worker"], ["broker"])
    assert first == plan(3, 60, ["web", "worker"], ["broker"])
    assert first != plan(4, 60, ["web", "worker"], ["broker"])
    assert {"kill", "suspend"} <= {fault.kind for fault in first}


def test_a_short_day_has_every_kind_of_fault() -> None:
    short = plan(3, 5, ["web", "worker"], ["broker"], every_s=1, every_kind=True)
    assert {fault.kind for fault in short} == set(KINDS)
    assert max(fault.lasts for fault in short) < 5


def test_the_disk_of_a_program_gets_full_where_that_can_be_done() -> None:
    def filled(*never_full: str) -> set[str]:
        faults = plan(3, 600, ["database", "web"], ["broker"], never_full=never_full)
        return {fault.target for fault in faults if fault.kind == FILL}

    assert filled() == {"database", "web"}
    assert filled("database") == {"web"}
