"""Signs of somebody not looking: shown with their evidence, decided by a person, pay untouched."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotations.models import (
    Annotation,
    Comparison,
    FlagDecision,
    Item,
    Membership,
    Project,
    User,
)
from annotations.selectors.flags import flags
from annotations.tests.factories import make_completion, make_prompt


@pytest.fixture
def judged(project: Project, bob: User, bea: User, ben: User) -> list[Comparison]:
    """Return 40 comparisons by each of three: Bob always says left, at once."""
    prompt = make_prompt(project)
    left, right = make_completion(prompt, "short"), make_completion(prompt, "a longer text " * 5)
    items = Item.objects.bulk_create(
        Item(project=project, kind="comparison", prompt=prompt, overlap=3, open_slots=0)
        for _ in range(40)
    )
    made = []
    for place, person in enumerate((bob, bea, ben)):
        for number, item in enumerate(items):
            turned = bool((number * 7 + place) % 3 % 2)
            first, second = (right, left) if turned else (left, right)
            better = "left" if person == bob or turned != bool(number % 2) else "right"
            wall = 900 if person == bob else 8000 + 900 * ((number * 13) % 23)
            made.append((item, person, first, second, better, wall))
    annotations = Annotation.objects.bulk_create(
        Annotation(item=item, annotator=person, kind="comparison", wall_ms=wall)
        for item, person, *_, wall in made
    )
    return Comparison.objects.bulk_create(
        Comparison(annotation=annotation, left=first, right=second, outcome=better)
        for annotation, (_, _, first, second, better, _) in zip(annotations, made, strict=True)
    )


def url(name: str, project: Project) -> str:
    return reverse(f"annotations:{name}", args=[project.pk])


def decision(bob: User, **changes: Any) -> dict[str, Any]:
    return {
        "detector": "one_sided", "people": f"{bob.pk} ", "verdict": "dismissed",
        "reason": "He <b>showed</b> me why.", **changes,
    }  # fmt: skip


def test_it_names_who_always_says_left_and_nobody_else(
    project: Project, judged: list[Comparison], bob: User
) -> None:
    found = flags(project)
    assert {one.signal.people for one in found} == {(bob.pk,)}
    assert {one.signal.detector for one in found} == {"one_sided", "too_fast", "clockwork"}


def test_the_owner_sees_the_evidence_and_dismisses_or_pauses(
    client: Client, project: Project, judged: list[Comparison], bob: User, alice: User
) -> None:
    client.force_login(alice)
    page = client.get(url("flags", project)).content.decode()
    assert "Chose the left side in 40 of 40 answers" in page
    assert f"{reverse('training:recalls', args=[project.pk])}?annotator={bob.pk}" in page
    client.post(url("decide_flag", project), decision(bob))
    page = client.get(url("flags", project)).content.decode()
    assert "&lt;b&gt;showed&lt;/b&gt;" in page
    assert [one.signal.detector for one in flags(project)] == ["clockwork", "too_fast"]
    assert Membership.objects.get(user=bob).state == "active"
    paused = decision(bob, detector="too_fast", verdict="paused")
    client.post(url("decide_flag", project), paused)
    assert Membership.objects.get(user=bob).state == "paused"
    assert Annotation.objects.filter(annotator=bob).count() == 40


def test_a_dismissed_flag_comes_back_with_twice_the_evidence(
    project: Project, judged: list[Comparison], bob: User, alice: User
) -> None:
    dismissed = {"project": project, "person": bob, "evidence": "x", "verdict": "dismissed"}
    made = FlagDecision.objects.create(
        **dismissed, detector="one_sided", n=21, reason="x", decided_by=alice
    )
    assert "one_sided" not in {one.signal.detector for one in flags(project)}
    made.n = 20
    made.save()
    assert "one_sided" in {one.signal.detector for one in flags(project)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reason": " "}, "Say why"),
        ({"verdict": "sacked"}, "Select a valid choice"),
        ({"people": "1 x"}, "no such flag"),
        ({"people": "999999999999"}, "no such flag"),
        ({"detector": "picky"}, "no such flag"),
    ],
)
def test_nonsense_decides_nothing(
    client: Client, project: Project, judged: list[Comparison], bob: User, alice: User,
    changes: dict[str, Any], words: str,
) -> None:  # fmt: skip
    client.force_login(alice)
    answer = client.post(url("decide_flag", project), decision(bob, **changes), follow=True)
    assert words in answer.content.decode()
    assert not FlagDecision.objects.exists()


def test_nobody_but_an_owner_sees_flags(
    client: Client, project: Project, bob: User, carol: User, eve: User, charlie: User
) -> None:
    for person in (bob, carol, eve, charlie):
        client.force_login(person)
        assert client.get(url("flags", project)).status_code == 404
        assert client.post(url("decide_flag", project), decision(bob)).status_code == 404
    client.force_login(project.created_by)
    assert client.get(url("decide_flag", project)).status_code == 405
    assert "Nothing stands out" in client.get(url("flags", project)).content.decode()
