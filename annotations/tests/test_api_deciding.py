"""Programs decide what people disagree about, and let people qualify, as the pages do."""

from __future__ import annotations

from typing import Any

import pytest

from annotations.models import Adjudication, Group, Item, Kind, Membership, Project, User
from annotations.tests.factories import make_assignment, make_item, make_ranking
from annotations.tests.test_adjudication import split_item
from annotations.tests.test_api import Program, problem_of
from annotations.tests.test_qualification import make_gold, make_rule, said

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(project: Project, alice: User) -> Program:
    return Program(alice, project)


@pytest.fixture
def reviewer(project: Project, carol: User) -> Program:
    return Program(carol, project)


@pytest.fixture
def labeller(project: Project, bob: User) -> Program:
    return Program(bob, project)


# Adjudication


def test_a_disagreement_is_shown_without_names_and_decided(
    owner: Program, reviewer: Program, project: Project, bob: User, bea: User
) -> None:
    item = split_item(project, (bob, "left"), (bea, "right"))
    waiting = reviewer.get(f"projects/{project.pk}/disagreements").json()
    assert [(one["item"], one["split"]) for one in waiting["items"]] == [(item.pk, "1 against 1")]
    path = f"items/{item.pk}/decision"
    shown = reviewer.get(path)
    assert [one["letter"] for one in shown.json()["completions"]] == ["A", "B"]
    assert len(shown.json()["said"]) == 2
    assert "bob" not in shown.text
    assert '"id"' not in shown.text
    without_reason = reviewer.post(path, {"answer": {"kind": "comparison", "choice": "tie"}})
    problem_of(without_reason, 422, "wrong-body")
    answer = {"kind": "comparison", "choice": "left-better", "reason": "A has 5-7-5."}
    decided = reviewer.post(path, {"answer": answer}).json()
    better = shown.json()["completions"][0]["text"]
    reference = Adjudication.objects.get().reference
    assert (decided["annotation"], reference.comparison.left.text) == (reference.pk, better)
    (listed,) = owner.get(f"projects/{project.pk}/decisions").json()["items"]
    assert (listed["item"], listed["is_own"]) == (item.pk, False)
    gold = owner.post(f"annotations/{reference.pk}/gold").json()
    assert gold["known"]["outcome"] == "left"
    problem_of(Program(bea, project).ask("DELETE", path), 404, "not-found")
    assert owner.ask("DELETE", path).status_code == 204
    problem_of(reviewer.ask("DELETE", path), 409, "not-possible")


def test_a_ranking_is_decided_in_the_letters_that_were_shown(
    reviewer: Program, project: Project, bob: User, bea: User
) -> None:
    item = make_item(project, Kind.RANKING, overlap=2, open_slots=0)
    ids = list(item.completions.order_by("id").values_list("id", flat=True))
    make_ranking(item, bob, [[one] for one in ids])
    make_ranking(item, bea, [[one] for one in reversed(ids)])
    shown = reviewer.get(f"items/{item.pk}/decision").json()["completions"]
    letters = [one["letter"] for one in shown]
    answer = {"kind": "ranking", "tiers": [letters[1:], letters[:1]], "reason": "Because."}
    assert reviewer.post(f"items/{item.pk}/decision", {"answer": answer}).status_code == 201
    tiers = Adjudication.objects.get().reference.ranking.entries.values_list("tier", flat=True)
    assert sorted(tiers) == [0] * (len(ids) - 1) + [1]


def test_who_has_a_part_in_an_item_neither_sees_nor_decides_it(
    reviewer: Program, project: Project, bob: User, carol: User
) -> None:
    item = split_item(project, (bob, "left"), (carol, "right"))
    problem_of(reviewer.get(f"items/{item.pk}/decision"), 409, "not-possible")
    answer = {"kind": "comparison", "choice": "tie", "reason": "Mine."}
    problem_of(reviewer.post(f"items/{item.pk}/decision", {"answer": answer}), 409, "not-possible")
    held = make_item(project, overlap=2)
    make_assignment(held, carol)
    problem_of(reviewer.get(f"items/{held.pk}/decision"), 409, "not-possible")


# Groups and rules


def test_a_kind_of_work_is_kept_for_a_group_and_its_test(
    owner: Program, project: Project, bob: User
) -> None:
    member = Membership.objects.get(project=project, user=bob)
    groups, rules = f"projects/{project.pk}/groups", f"projects/{project.pk}/kind-rules"
    group = owner.ask("PUT", groups, {"name": "Poets", "members": [member.pk]}).json()
    assert group["members"] == [member.pk]
    problem_of(owner.ask("PUT", groups, {"name": "x", "members": [10**9]}), 409, "not-possible")
    rule = {"kind": "comparison", "group": group["id"], "is_tested": True, "questions": 3}
    assert owner.ask("PUT", rules, rule).json()["pass_percent"] == 75
    problem_of(owner.ask("PUT", rules, {**rule, "group": 10**9}), 404, "not-found")
    (listed,) = owner.get(rules).json()["rules"]
    assert (listed["group"], listed["questions"]) == (group["id"], 3)
    problem_of(owner.ask("DELETE", f"{groups}/{group['id']}"), 409, "not-possible")
    owner.ask("PUT", rules, {"kind": "comparison"})
    assert owner.ask("DELETE", f"{groups}/{group['id']}").status_code == 204
    assert not Group.objects.exists()


# Practice and tests


def test_a_person_practises_takes_the_test_and_learns_which_items_are_gold_from_neither(
    owner: Program, labeller: Program, project: Project, bob: User
) -> None:
    practised, asked = make_gold(project), make_gold(project)
    why = owner.ask("PUT", f"items/{practised.pk}/practice", {"why": "A has 5-7-5."})
    assert why.json()["practice"] == "A has 5-7-5."
    gold = f"projects/{project.pk}/gold?kind=comparison"
    assert [one["item"] for one in owner.get(gold).json()["items"]] == [asked.pk]
    practice = owner.get(f"{gold}&practice=true").json()["items"]
    assert [one["item"] for one in practice] == [practised.pk]
    make_rule(project, questions=1)
    path = f"projects/{project.pk}/qualification/comparison"
    standing = labeller.get(path).json()
    assert (standing["practice_left"], standing["question"]["item"]) == (1, practised.pk)
    early = problem_of(labeller.post(f"{path}/test"), 409, "not-possible")
    assert "Finish the practice" in early["detail"]
    wrong = answer_of(bob, practised, right=False)
    told = labeller.post(f"{path}/answers", wrong).json()
    assert (told["explained"]["is_right"], told["explained"]["why"]) == (False, "A has 5-7-5.")
    assert told["explained"]["known"].endswith("is better")
    assert told["now"]["question"] is None
    begun = labeller.post(f"{path}/test").json()
    assert begun["question"]["item"] == asked.pk
    late = labeller.post(f"{path}/answers", wrong)
    assert "answers no question" in problem_of(late, 409, "not-possible")["detail"]
    passed = labeller.post(f"{path}/answers", answer_of(bob, asked, right=True)).json()
    assert passed["explained"] is None
    assert [one["state"] for one in passed["now"]["attempts"]] == ["passed"]
    assert owner.ask("DELETE", f"items/{practised.pk}/practice").status_code == 204
    assert owner.post(f"items/{asked.pk}/gold/retire").status_code == 200
    assert [one["item"] for one in owner.get(gold).json()["items"]] == [practised.pk]


def answer_of(person: User, item: Item, *, right: bool) -> dict[str, Any]:
    outcome = said(person, item, right=right)
    return {"item": item.pk, "answer": {"kind": "comparison", "outcome": outcome}}


def test_a_kind_without_a_test_has_no_address(labeller: Program, project: Project) -> None:
    for kind in ("comparison", "nothing"):
        path = f"projects/{project.pk}/qualification/{kind}"
        problem_of(labeller.get(path), 404, "not-found")
        problem_of(labeller.post(f"{path}/test"), 404, "not-found")


def test_what_was_written_in_a_test_is_judged_without_its_author(
    owner: Program, labeller: Program, project: Project
) -> None:
    known = {"text": "An old pond"}
    make_item(project, Kind.DEMONSTRATION, purpose="gold", open_slots=0, gold=known)
    make_rule(project, Kind.DEMONSTRATION, questions=1)
    path = f"projects/{project.pk}/qualification/demonstration"
    item = labeller.post(f"{path}/test").json()["question"]["item"]
    mine = {"item": item, "answer": {"kind": "demonstration", "text": "A frog"}}
    assert labeller.post(f"{path}/answers", mine).json()["now"]["attempts"][0]["state"] == "waiting"
    (line,) = owner.get(f"projects/{project.pk}/tests").json()["items"]
    shown = owner.get(f"tests/{line['id']}")
    assert "bob" not in shown.text
    (text,) = shown.json()["texts"]
    assert (text["text"], text["example"], text["verdict"]) == ("A frog", "An old pond", None)
    verdicts = f"tests/{line['id']}/verdicts"
    foreign = {"answer": 10**9, "passes": True, "reason": "x"}
    problem_of(owner.post(verdicts, {"verdicts": [foreign]}), 409, "not-possible")
    verdict = {"answer": text["answer"], "passes": True, "reason": "Good."}
    assert owner.post(verdicts, {"verdicts": [verdict]}).json()["state"] == "passed"
    (attempt,) = labeller.get(path).json()["attempts"]
    assert attempt["judged"][0]["reason"] == "Good."
