"""Programs report answers by their letters, and decide what becomes of the reports."""

from __future__ import annotations

import pytest

from annotations import queue, services
from annotations.models import Completion, Kind, Project, Ticket, User
from annotations.tests.factories import make_assignment, make_base, make_item
from annotations.tests.test_api import Program, problem_of

pytestmark = pytest.mark.django_db

FROGS = {"check": {"kind": "pattern", "pattern": "frogs frogs"}}


@pytest.fixture
def ticket(project: Project, bob: User) -> Ticket:
    """A ticket about an answer of a checkpoint, reported over the API."""
    item = make_item(project, texts=["frogs frogs", "one frog"], overlap=2)
    item.completions.update(checkpoint=make_base(project), origin="checkpoint")
    held = make_assignment(item, bob)
    program, path = Program(bob, project), f"assignments/{held.pk}"
    shown = program.get(path).json()["completions"]
    [letter] = [one["letter"] for one in shown if one["text"] == "frogs frogs"]
    wrong = program.post(f"{path}/report", {"letter": "C", "reason": "repeats"})
    assert "A, B" in problem_of(wrong, 409, "not-possible")["detail"]
    said = {"letter": letter, "reason": "repeats", "words": "again"}
    reported = program.post(f"{path}/report", said)
    assert (reported.status_code, reported.content) == (204, b"")
    assert program.get(path).json()["state"] == "leased"
    return Ticket.objects.get()


def test_a_report_becomes_a_rewrite_and_a_case(
    project: Project, ticket: Ticket, eve: User, bea: User, bob: User
) -> None:
    engineer, path = Program(eve, project), f"tickets/{ticket.pk}"
    [listed] = engineer.get(f"projects/{project.pk}/tickets?state=unsettled").json()["items"]
    assert (listed["reports"], listed["checkpoint"]) == (1, make_base(project))
    loose = engineer.post(f"{path}/rewrite", {"check": {"kind": "pattern", "pattern": "pond"}})
    assert "would not see the fault" in problem_of(loose, 409, "not-possible")["detail"]
    problem_of(engineer.post(f"{path}/rewrite", {"check": {"kind": "rubric"}}), 422, "wrong-body")
    asked = engineer.post(f"{path}/rewrite", FROGS).json()
    assert (asked["state"], asked["case"]["version"]) == ("rewriting", 1)
    assert asked["said"][0]["reporter"] == f"annotator-{bob.pk}"
    work = queue.lease_next(bea, project, Kind.REWRITE)
    assert work is not None
    services.submit_rewrite(work, "one\nfrog\nleaps")
    rules = {
        "check": {"kind": "rubric", "rules": ["lines"], "lines": 3, "most_characters": 5},
        "answers": 2,
    }
    changed = engineer.ask("PUT", f"{path}/check", rules).json()
    assert changed["case"]["parameters"] == {"rules": ["lines"], "lines": 3}
    assert (changed["case"]["version"], changed["rewrite"]["text"]) == (2, "one\nfrog\nleaps")
    late = engineer.post(f"{path}/dismiss", {"words": "It is art."})
    assert "its regression case stays" in problem_of(late, 409, "not-possible")["detail"]


def test_reviewers_decide_without_knowing_who_wrote_it(
    project: Project, ticket: Ticket, carol: User, bob: User
) -> None:
    reviewer, path = Program(carol, project), f"tickets/{ticket.pk}"
    seen = reviewer.get(path).json()
    assert {seen[name] for name in ("completion", "checkpoint", "fixed_by")} == {None}
    by_author = f"projects/{project.pk}/tickets?checkpoint={make_base(project)}"
    assert reviewer.get(by_author).json()["items"] == []
    dismissed = reviewer.post(f"{path}/dismiss", {"words": "It is art."}).json()
    assert (dismissed["state"], dismissed["events"][-1]["words"]) == ("dismissed", "It is art.")
    assert reviewer.post(f"{path}/reopen").json()["state"] == "open"
    labeller = Program(bob, project)
    problem_of(labeller.get(path), 404, "not-found")
    problem_of(labeller.get(f"projects/{project.pk}/tickets"), 404, "not-found")
    assert Completion.objects.count() == 2
