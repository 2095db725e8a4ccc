"""Who may do a kind of work is decided by hand: with a reason, and a line in the audit log."""

from __future__ import annotations

from django.test import Client
from django.urls import reverse

from annotations import queue
from annotations.models import Item, Kind, KindDecision, Project, User
from annotations.tests.factories import make_item
from annotations.tests.test_qualification import make_rule
from training.models import AuditEntry


def is_handed_work(person: User, project: Project) -> bool:
    """Say whether somebody is handed an item; it goes back at once."""
    assignment = queue.lease_next(person, project)
    if assignment is None:
        return False
    assignment.delete()
    Item.objects.update(open_slots=1)
    return True


def decide(client: Client, project: Project, person: User, decision: str, reason: str) -> str:
    client.force_login(project.created_by)
    address = reverse("annotations:decide_kind", args=[project.pk, person.pk])
    sent = {"kind": "comparison", "decision": decision, "reason": reason}
    return client.post(address, sent, follow=True).text


def test_an_owner_withdraws_grants_and_leaves_it_to_the_rules(
    client: Client, project: Project, bob: User, bea: User
) -> None:
    make_item(project)
    assert is_handed_work(bob, project)
    assert "Say why" in decide(client, project, bob, "withdrawn", " ")
    assert "Choose what holds" in decide(client, project, bob, "promoted", "Well done.")
    assert not KindDecision.objects.exists()

    assert "Read the <b>" not in decide(client, project, bob, "withdrawn", "Read the <b>rules.")
    assert not is_handed_work(bob, project)
    assert is_handed_work(bea, project)
    assert "withdrawn already" in decide(client, project, bob, "withdrawn", "Again.")
    client.force_login(bob)
    overview = client.get(reverse("annotations:project", args=[project.pk])).text
    own_page = client.get(reverse("annotations:person", args=[project.pk, bob.pk])).text
    for page in (overview, own_page):
        assert "Read the &lt;b&gt;rules." in page
    assert "Decide by hand" not in own_page

    make_rule(project, Kind.COMPARISON)
    decide(client, project, bob, "granted", "Has judged elsewhere.")
    assert is_handed_work(bob, project)  # though there is a test that bob has not taken
    assert not is_handed_work(bea, project)
    assert "pass its test: not taken yet" in decide(client, project, bob, "lifted", "Take it.")
    assert not is_handed_work(bob, project)
    assert "rules hold already" in decide(client, project, bob, "lifted", "Again.")

    log = AuditEntry.objects.order_by("id").values_list("action", "reason", "user__username")
    assert list(log) == [
        ("withdrawn", "Read the <b>rules.", "alice"),
        ("granted", "Has judged elsewhere.", "alice"),
        ("lifted", "Take it.", "alice"),
    ]
    assert not any("bob" in entry.subject_name for entry in AuditEntry.objects.all())


def test_a_refused_decision_keeps_what_was_typed(
    client: Client, project: Project, bob: User
) -> None:
    client.force_login(project.created_by)
    address = reverse("annotations:decide_kind", args=[project.pk, bob.pk])
    typed = {"kind": "ranking", "decision": "lifted", "reason": "A <frog> leapt."}
    refused = client.post(address, typed)
    assert refused.status_code == 422
    assert "rules hold already" in refused.text
    assert "A &lt;frog&gt; leapt.</textarea>" in refused.text
    assert '<option value="ranking" selected>' in refused.text
    assert '<option value="lifted" selected>' in refused.text
    assert client.get(address).status_code == 405
    client.force_login(bob)
    assert client.post(address, typed).status_code == 404
    assert not AuditEntry.objects.exists()
