"""Programs read how a project goes, ask again, and write questions and guidelines."""

from __future__ import annotations

from typing import Any

import pytest

from annotations import services
from annotations.models import Item, Kind, Project, User
from annotations.tests.factories import make_assignment, make_comparison, make_item, make_prompt
from annotations.tests.test_api import Program, problem_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(project: Project, alice: User) -> Program:
    return Program(alice, project)


@pytest.fixture
def engineer(project: Project, eve: User) -> Program:
    return Program(eve, project)


@pytest.fixture
def reviewer(project: Project, carol: User) -> Program:
    return Program(carol, project)


@pytest.fixture
def labeller(project: Project, bob: User) -> Program:
    return Program(bob, project)


def test_agreement_names_people_to_owners_alone(
    owner: Program, engineer: Program, project: Project, bob: User, bea: User
) -> None:
    for outcome in ("left", "left", "right"):
        item = make_item(project, overlap=2)
        make_comparison(item, bob, "left")
        make_comparison(item, bea, outcome)
    path = f"projects/{project.pk}/agreement"
    found = owner.get(path).json()
    (line,) = (one for one in found["lines"] if one["by"] == "all")
    assert (line["judged_twice"], line["people"]) == (3, 2)
    assert line["pairwise"]["value"] == pytest.approx(2 / 3)
    assert {one["first"] for one in found["pairs"]} <= {"Bob", "Bea"}
    shown = engineer.get(path)
    assert f"annotator-{bob.pk}" in shown.text
    assert "Bob" not in shown.text
    group = services.save_group(project, "Poets", [])
    assert owner.get(f"{path}?group={group.pk}").status_code == 200
    problem_of(engineer.get(f"{path}?group={group.pk}"), 404, "not-found")
    problem_of(owner.get(f"{path}?batch=none"), 404, "not-found")


def test_a_report_that_is_being_reckoned_is_to_be_asked_for_again(
    owner: Program, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotations.selectors.sizes.SMALL", 0)
    make_comparison(make_item(project), project.created_by)
    response = owner.get(f"projects/{project.pk}/agreement")
    assert (response.status_code, response.json()["is_known"]) == (202, False)
    assert int(response["Retry-After"]) > 0


def test_the_dashboard_tells_what_it_costs_to_owners_alone(
    owner: Program, reviewer: Program, project: Project, bob: User
) -> None:
    make_comparison(make_item(project), bob)
    path = f"projects/{project.pk}/dashboard"
    mine, theirs = owner.get(f"{path}?days=90").json(), reviewer.get(path).json()
    assert (mine["days"], mine["by"], theirs["days"], theirs["by"]) == (90, "week", 30, "day")
    assert len(theirs["bins"]) == 30
    assert (mine["spent"], theirs["spent"], theirs["bins"][0]["spent"]) == ([], None, None)
    problem_of(owner.get(f"{path}?days=7"), 400, "wrong-filter")


def test_what_happened_to_an_item_waits_for_ones_own_answer(
    reviewer: Program, labeller: Program, project: Project, bob: User, carol: User
) -> None:
    item = make_item(project, overlap=3)
    services.submit_comparison(make_assignment(item, bob), "left", "better", reason="5-7-5")
    item.refresh_from_db()
    own = labeller.get(f"assignments/{bob.assignments.get().pk}/history").json()
    assert [one["state"] for one in own["records"]] == ["in force"]
    assert own["assignments"][0]["person"] is None
    path = f"items/{item.pk}/history"
    assert reviewer.get(path).json()["records"][0]["person"] == f"annotator-{bob.pk}"
    make_assignment(item, carol)
    hidden = reviewer.get(path).json()
    assert (hidden["is_hidden"], hidden["records"]) == (True, [])
    done = labeller.get(f"projects/{project.pk}/my-work").json()
    assert (done["done"], done["by_kind"]) == (1, [{"kind": "comparison", "done": 1}])


def test_a_correction_is_kept_as_a_draft_and_thrown_away(
    labeller: Program, project: Project, bob: User
) -> None:
    given = make_assignment(make_item(project), bob)
    said = services.submit_comparison(given, "left", "better", reason="")
    path = f"assignments/{given.pk}"
    draft = {"fields": {"choice": ["tie"]}, "revision": 0, "correcting": said.pk}
    assert labeller.ask("PUT", f"{path}/draft", draft).json()["fields"] == {"choice": ["tie"]}
    mine = f"projects/{project.pk}/my-work"
    assert labeller.get(mine).json()["corrections"] == [given.pk]
    assert labeller.post(f"{path}/correction/discard").status_code == 200
    assert labeller.get(mine).json()["corrections"] == []
    wrong = {**draft, "correcting": 10**9}
    problem_of(labeller.ask("PUT", f"{path}/draft", wrong), 409, "not-possible")


def test_a_labeller_brings_a_prompt_of_their_own(labeller: Program, project: Project) -> None:
    path, body = f"projects/{project.pk}/prompts/own", {"style": "plain", "text": "A haiku?"}
    problem_of(labeller.post(path, body), 404, "not-found")
    Project.objects.update(own_prompts_allowed=True)
    taken = labeller.post(path, body).json()
    assert (taken["kind"], taken["messages"][0]["content"]) == ("demonstration", "A haiku?")


def test_prompts_are_queued_to_be_conversed_about(engineer: Program, project: Project) -> None:
    for text in ("frog", "pond", "frog pond"):
        make_prompt(project, text)
    path = f"projects/{project.pk}/prompts/converse"
    assert engineer.post(path, {"number": 5, "search": "frog"}).json() == {"items": 2}
    assert Item.objects.filter(kind=Kind.CONVERSATION).count() == 2


def test_questions_are_drafted_and_published(owner: Program, project: Project) -> None:
    path = f"projects/{project.pk}/questions"
    scale: dict[str, Any] = {"form": "scale", "name": "quality", "text": "How good?", "points": 5}
    sent = {"questions": [scale, {"form": "flag", "name": "rude", "text": "Rude?"}]}
    owner.ask("PUT", f"{path}/draft", sent)
    assert owner.get(path).json()["in_force"] is None
    published = owner.post(path, sent).json()
    assert (published["version"], published["questions"][0]["points"]) == (1, 5)
    assert owner.get(path).json()["draft"] is None
    twice = {"questions": [scale, scale]}
    problem_of(owner.post(path, twice), 409, "not-possible")


def test_guidelines_are_drafted_with_what_speaks_against_them(
    owner: Program, engineer: Program, project: Project
) -> None:
    path = f"projects/{project.pk}/guidelines/comparison/draft"
    begun = owner.get(path).json()
    assert (begun["revision"], begun["in_force"]) == (0, 1)
    text = f"{begun['text']}\n\n## Syllables\n\nCount them."
    saved = owner.ask("PUT", path, {"text": text, "revision": 0}).json()
    assert saved["text"] == text
    late = owner.ask("PUT", path, {"text": "Other", "revision": saved["revision"] + 1})
    problem_of(late, 409, "not-possible")
    assert owner.ask("DELETE", path).status_code == 204
    assert owner.get(path).json()["text"] == begun["text"]
    cases = f"projects/{project.pk}/guidelines/comparison/cases"
    assert engineer.get(cases).json() == {"clauses": []}
    problem_of(owner.post(f"{cases}/gold", {"clause": "none"}), 409, "not-possible")
    problem_of(owner.get(f"projects/{project.pk}/guidelines/none/draft"), 404, "not-found")


def test_what_new_guidelines_may_turn_round_is_asked_again(
    owner: Program, engineer: Program, project: Project, alice: User, bob: User
) -> None:
    make_comparison(make_item(project), bob, "left", "slightly")
    path = f"projects/{project.pk}/reasks"
    problem_of(owner.post(path, {"since": 1, "count": 1}), 409, "not-possible")
    text = "# Haiku\n\n## Syllables\n\nA haiku has 5-7-5 syllables."
    services.publish_guideline(project, Kind.COMPARISON, text, alice, note="Count.")
    prospect = owner.get(f"{path}/prospect?since=1").json()
    assert (prospect["candidates"], "Syllables" in prospect["clauses"]) == (1, True)
    made = owner.post(path, {"since": 1, "count": 1}).json()
    assert [one["asked"] for one in made["arms"]] == [1, 0]
    assert owner.get(path).json()["reasks"] == [made]
    problem_of(owner.get(f"{path}/prospect?since=99"), 404, "not-found")
    assert engineer.get(f"projects/{project.pk}/asking").json()["aims"] == []
