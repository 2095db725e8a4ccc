"""What a project may ask of a checkpoint before it is promoted."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotations.models import Item, Project, User
from training import selectors, services
from training.models import AuditEntry, Evaluation, Gate, Promotion
from training.services import ServiceError
from training.tests.factories import make_run
from training.tests.test_pages_checkpoints import evaluated, promote, vote

DEFAULTS = {"least_percent": "50", "least_votes": "0", "least_voters": "1", "largest_kl": ""}


@pytest.fixture
def contest(project: Project, eve: User, bob: User) -> Evaluation:
    """Return an evaluation that the child won twelve times in twelve, against the promoted one."""
    evaluation = evaluated(project)
    promote(evaluation.parent, eve)
    vote(evaluation, bob, "left")
    return evaluation


def set_gate(project: Project, owner: User, **changes: Any) -> Gate:
    values: dict[str, Any] = {"least_rate": 0.5, "least_votes": 0, "least_voters": 1}
    return services.set_gate(project, **{**values, "largest_kl": None, **changes}, changed_by=owner)


def met(evaluation: Evaluation) -> dict[str, bool]:
    return {one.title: one.is_met for one in selectors.gate_conditions(evaluation)}


def test_it_lists_each_condition_with_its_figure(contest: Evaluation) -> None:
    conditions = {one.title: one for one in selectors.gate_conditions(contest)}
    assert all(one.is_met for one in conditions.values())
    assert conditions["Compared with"].found == "parent"
    assert conditions["Votes of people"].found == "12"
    assert "100 %" in conditions["Win rate"].found
    assert conditions["Sign of reward hacking"].found == "none"


@pytest.mark.parametrize(
    ("threshold", "words"),
    [
        ({"least_rate": 0.9}, "must lie above 90 %"),
        ({"least_votes": 13}, "at least 13"),
        ({"least_voters": 2}, "Let more people compare"),
        ({"largest_kl": 4.0}, "was not measured"),
    ],
)
def test_each_threshold_closes_the_gate(
    contest: Evaluation, alice: User, eve: User, threshold: dict[str, Any], words: str
) -> None:
    set_gate(contest.project, alice, **threshold)
    assert list(met(contest).values()).count(False) == 1
    with pytest.raises(ServiceError, match=words):
        services.promote_checkpoint(
            contest.child, promoted_by=eve, reason="It won.", evaluation=contest
        )
    assert Promotion.objects.count() == 1


@pytest.mark.parametrize(("kl", "passes"), [(3.9, True), (4.1, False)])
def test_the_largest_kl_is_that_of_its_run(
    contest: Evaluation, alice: User, kl: float, passes: bool
) -> None:
    set_gate(contest.project, alice, largest_kl=4.0)
    contest.child.run = make_run(contest.project, "ppo", results={"kl": kl})
    assert met(contest)["KL to the reference"] is passes


def test_a_run_that_its_guard_stopped_is_not_promoted(contest: Evaluation) -> None:
    contest.child.run = make_run(contest.project, "ppo", results={"stopped_early": "KL."})
    assert met(contest)["Sign of reward hacking"] is False
    assert "stopped itself" in selectors.gate_refusal(contest.child, contest)


def test_repeating_an_evaluation_makes_all_votes_one_sequence(
    contest: Evaluation, project: Project, eve: User
) -> None:
    """Nine of twelve are enough for one look, and not for one of many."""
    for comparison in contest.project.items.filter(batch=contest.batch)[:2]:
        comparison.annotations.get().comparison.delete()
    assert selectors.gate_refusal(contest.child, contest) == ""
    assert isinstance(selectors.gate_result(contest), selectors.WinRate)
    again = Evaluation.objects.create(
        project=project,
        child=contest.child,
        parent=contest.parent,
        run=make_run(project, "sample"),
        batch="evaluation-2",
    )
    assert isinstance(selectors.gate_result(contest), selectors.WinRate)  # nothing to judge yet
    item = contest.project.items.filter(batch=contest.batch).latest("id")
    for _ in range(3):
        Item.objects.create(
            project=project,
            kind="comparison",
            prompt=item.prompt,
            purpose="evaluation",
            batch=again.batch,
        )
    assert isinstance(selectors.gate_result(contest), selectors.AnytimeInterval)
    assert selectors.gate_result(again) == selectors.gate_result(contest)


@pytest.mark.parametrize(
    "wrong",
    [{"least_rate": 0.4}, {"least_rate": 1.0}, {"least_voters": 0}, {"largest_kl": -1.0}],
)
def test_it_refuses_thresholds_that_make_no_sense(
    project: Project, alice: User, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ServiceError):
        set_gate(project, alice, **wrong)
    assert not Gate.objects.exists()


def test_an_owner_sets_the_gate_on_its_page(client: Client, project: Project, alice: User) -> None:
    client.force_login(alice)
    address = reverse("training:gate", args=[project.pk])
    assert b"These are the defaults" in client.get(address).content
    changed = {**DEFAULTS, "least_percent": "52.5", "largest_kl": "8"}
    assert client.post(address, changed).status_code == 302
    gate = Gate.objects.get()
    assert (gate.least_rate, gate.largest_kl, gate.changed_by) == (0.525, 8.0, alice)
    assert AuditEntry.objects.get(action="changed").facts["least_rate"] == 0.525
    refused = client.post(address, {**DEFAULTS, "least_percent": "40"})
    assert refused.status_code == 422
    assert Gate.objects.get().least_rate == 0.525


def test_an_engineer_sees_the_gate_and_cannot_change_it(
    client: Client, project: Project, eve: User
) -> None:
    client.force_login(eve)
    address = reverse("training:gate", args=[project.pk])
    assert b"Only an owner" in client.get(address).content
    assert client.post(address, DEFAULTS).status_code == 404
    assert client.put(address).status_code == 405


@pytest.mark.parametrize("name", ["bob", "carol", "charlie"])
def test_the_gate_does_not_exist_for_others(client: Client, project: Project, name: str) -> None:
    client.force_login(User.objects.get(username=name))
    assert client.get(reverse("training:gate", args=[project.pk])).status_code == 404


def test_both_pages_show_the_conditions(client: Client, contest: Evaluation, eve: User) -> None:
    client.force_login(eve)
    for name, pk in (("evaluation", contest.pk), ("checkpoint", contest.child_id)):
        page = client.get(reverse(f"training:{name}", args=[pk])).content.decode()
        assert "Votes of people" in page
        assert "Sign of reward hacking" in page
