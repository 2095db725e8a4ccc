"""Who sees the pages of training: owners and engineers of the project, nobody else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from annotations.models import Membership, Project, User
from annotations.tests.factories import make_item
from training.models import Evaluation
from training.tests.factories import make_checkpoint, make_run, make_snapshot

Address = tuple[str, int]


@pytest.fixture
def addresses(project: Project) -> dict[str, list[Address]]:
    """Return every address of the app by the method that it answers to."""
    snapshot, checkpoint, run = make_snapshot(project), make_checkpoint(project), make_run(project)
    item = make_item(project)
    suite = make_run(project, "suite")
    evaluation = Evaluation.objects.create(
        project=project,
        child=checkpoint,
        parent=make_checkpoint(project),
        run=make_run(project, "sample"),
        batch="evaluation-1",
    )
    return {
        "get": [
            ("loop", project.pk),
            ("loop_status", project.pk),
            ("snapshots", project.pk),
            ("snapshot", snapshot.pk),
            ("download_snapshot", snapshot.pk),
            ("runs", project.pk),
            ("gate", project.pk),
            ("runs_status", project.pk),
            ("new_run", project.pk),
            ("run", run.pk),
            ("run_status", run.pk),
            ("audit", project.pk),
            ("arena", project.pk),
            ("arena_settings", project.pk),
            ("checkpoints", project.pk),
            ("checkpoint", checkpoint.pk),
            ("sources", checkpoint.pk),
            ("item", item.pk),
            ("card", checkpoint.pk),
            ("download_card", checkpoint.pk),
            ("suites", checkpoint.pk),
            ("suite", suite.pk),
            ("evaluation", evaluation.pk),
        ],
        "post": [
            ("open_round", project.pk),
            ("close_round", project.pk),
            ("freeze_snapshot", project.pk),
            ("cancel_run", run.pk),
            ("add_base", project.pk),
            ("request_completions", checkpoint.pk),
            ("start_evaluation", checkpoint.pk),
            ("start_suite", checkpoint.pk),
            ("rebuild", checkpoint.pk),
            ("promote_checkpoint", checkpoint.pk),
            ("export_checkpoint", checkpoint.pk),
        ],
    }


def statuses(client: Client, addresses: list[Address], method: str) -> dict[str, int]:
    act: Callable[..., object] = getattr(client, method)
    found = {}
    for name, pk in addresses:
        response = act(reverse(f"training:{name}", args=[pk]))
        found[name] = response.status_code  # type: ignore[attr-defined]
    return found


def everything(addresses: dict[str, list[Address]], client: Client) -> set[int]:
    both = [statuses(client, pages, method) for method, pages in addresses.items()]
    return {status for found in both for status in found.values()}


@pytest.mark.parametrize("name", ["alice", "eve"])
def test_it_shows_every_page_to_owners_and_engineers(
    client: Client, addresses: dict[str, list[Address]], name: str
) -> None:
    client.force_login(User.objects.get(username=name))
    found = statuses(client, addresses["get"], "get")
    assert found == dict.fromkeys(found, 200)


@pytest.mark.parametrize("name", ["charlie", "carol", "bob"])
def test_it_does_not_exist_for_outsiders_reviewers_and_annotators(
    client: Client, addresses: dict[str, list[Address]], name: str
) -> None:
    client.force_login(User.objects.get(username=name))
    assert everything(addresses, client) == {404}


def test_it_does_not_exist_for_an_engineer_who_is_paused(
    client: Client, addresses: dict[str, list[Address]], project: Project, eve: User
) -> None:
    project.memberships.filter(user=eve).update(state=Membership.State.PAUSED)
    client.force_login(eve)
    assert everything(addresses, client) == {404}


def test_it_does_not_exist_for_an_engineer_of_another_project(
    client: Client, addresses: dict[str, list[Address]], charlie: User
) -> None:
    other = Project.objects.create(name="Other", created_by=charlie)
    Membership.objects.create(project=other, user=charlie, role="engineer")
    client.force_login(charlie)
    assert everything(addresses, client) == {404}


def test_it_asks_who_is_there(client: Client, addresses: dict[str, list[Address]]) -> None:
    assert everything(addresses, client) == {302}


def test_it_refuses_the_wrong_method(
    client: Client, addresses: dict[str, list[Address]], eve: User
) -> None:
    client.force_login(eve)
    assert set(statuses(client, addresses["post"], "get").values()) == {405}
    forms = ("new_run", "gate", "arena", "arena_settings")
    pages = [page for page in addresses["get"] if page[0] not in forms]
    assert set(statuses(client, pages, "post").values()) == {405}
