"""Signs of somebody not looking: shown with their evidence, decided by a person, pay untouched."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from annotations import services
from annotations.algorithms.adversaries import HONEST_ON_GOLD, random_clicks
from annotations.models import (
    Annotation,
    Assignment,
    AutomaticPause,
    Comparison,
    FlagDecision,
    Item,
    Membership,
    Project,
    RankedCompletion,
    Ranking,
    Rating,
    RatingAnswer,
    User,
)
from annotations.selectors.flags import flags, flags_now, told_why
from annotations.selectors.gold import GoldAnswer
from annotations.selectors.signs import gold_by_person
from annotations.tests.factories import (
    make_careless,
    make_completion,
    make_demonstration,
    make_item,
    make_prompt,
    make_rating_scheme,
)


@pytest.fixture
def judged(project: Project, bob: User, bea: User, ben: User) -> list[Comparison]:
    """Return 40 comparisons by each of three: Bob always says left, at once."""
    return make_careless(project, bob, bea, ben)


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


def judge_four(project: Project, kind: str, people: dict[User, str]) -> None:
    """Have everybody judge 40 items and 8 gold ones, of four completions each.

    The earlier made are the better ones. Careful people turn round two neighbours now and then.
    """
    rng = np.random.default_rng(7)
    prompt = make_prompt(project)
    best = [make_completion(prompt, f"{number} " * 9).pk for number in range(4)]
    scheme = make_rating_scheme(project)
    known = {
        "ranking": {"tiers": [[one] for one in best]},
        "rating": {"answers": {str(one): {"overall": 7 - 2 * n} for n, one in enumerate(best)}},
    }[kind]
    items = Item.objects.bulk_create(
        Item(
            project=project, kind=kind, prompt=prompt, open_slots=0, rating_scheme=scheme,
            **({"purpose": "gold", "gold": known} if number < 8 else {}),
        )
        for number in range(48)
    )  # fmt: skip
    said = []
    for item, (person, habit) in product(items, people.items()):
        shown = [best[place] for place in rng.permutation(4)]
        order = list(best)
        if habit == "random":
            order = [best[place] for place in rng.permutation(4)]
        elif habit == "as shown":
            order = shown
        elif rng.random() < 0.3:
            order[1], order[2] = order[2], order[1]
        wall = int(1000 * rng.lognormal(3, 0.5)) if habit != "fast" else 1500
        said.append((item, person, shown, order, wall))
    handed = Assignment.objects.bulk_create(
        Assignment(
            item=item, annotator=person, leased_at=now(), lease_until=now(), state="submitted"
        )
        for item, person, *_ in said
    )
    made = Annotation.objects.bulk_create(
        Annotation(
            item=item, annotator=person, kind=kind, shown_order=shown, wall_ms=wall, assignment=one
        )
        for one, (item, person, shown, _, wall) in zip(handed, said, strict=True)
    )
    if kind == "ranking":
        Ranking.objects.bulk_create(Ranking(annotation=one) for one in made)
        RankedCompletion.objects.bulk_create(
            RankedCompletion(ranking_id=one.pk, completion_id=completion, tier=tier)
            for one, (_, _, _, order, _) in zip(made, said, strict=True)
            for tier, completion in enumerate(order)
        )
    else:
        Rating.objects.bulk_create(Rating(annotation=one, scheme=scheme) for one in made)
        RatingAnswer.objects.bulk_create(
            RatingAnswer(
                rating_id=one.pk, completion_id=completion, question="overall", value=7 - 2 * tier
            )
            for one, (_, _, _, order, _) in zip(made, said, strict=True)
            for tier, completion in enumerate(order)
        )


@pytest.mark.parametrize("kind", ["ranking", "rating"])
def test_it_reads_rankings_and_ratings(
    project: Project, bob: User, bea: User, ben: User, carol: User, kind: str
) -> None:
    others = {User.objects.create(username=f"p{n}"): "careful" for n in range(2)}
    people = {bob: "random", bea: "as shown", ben: "fast", carol: "careful", **others}
    judge_four(project, kind, people)
    found = {(one.signal.detector, one.signal.people) for one in flags(project)}
    expected = {("random", (bob.pk,)), ("random", (bea.pk,)), ("too_fast", (ben.pk,))}
    if kind == "ranking":
        expected.add(("one_sided", (bea.pk,)))
        (side,) = (one.signal for one in flags(project) if one.signal.detector == "one_sided")
        assert side.evidence.startswith("Chose what was shown first in 40 of 40 answers")
    # Two who do not look join each other's rare answers as well (decision 29).
    assert {one for one in found if one[0] != "copier"} == expected | {("clockwork", (ben.pk,))}


def test_texts_that_come_sooner_than_they_can_be_typed_are_a_sign(
    project: Project, bob: User, bea: User
) -> None:
    for person, seconds in ((bob, 4), (bea, 80)):
        for _ in range(10):
            said = make_demonstration(project, person, "so many words " * 10).annotation
            Annotation.objects.filter(pk=said.pk).update(wall_ms=1000 * seconds)
    (flag,) = (one for one in flags(project) if one.signal.detector == "untyped")
    assert flag.signal.people == (bob.pk,)
    assert "10 of 10 texts sooner than they can be typed" in flag.signal.evidence


def test_who_copies_rankings_is_found_and_what_takes_longer_is_no_idleness(
    project: Project, bob: User, bea: User
) -> None:
    crowd = {User.objects.create(username=f"p{n}"): "careful" for n in range(4)}
    judge_four(project, "ranking", {bob: "random", bea: "random", **crowd})
    pairs = {
        one.annotation.item_id: one for one in Ranking.objects.filter(annotation__annotator=bob)
    }
    for ranking in Ranking.objects.filter(annotation__annotator=bea).select_related("annotation"):
        ranking.entries.all().delete()
        RankedCompletion.objects.bulk_create(
            RankedCompletion(ranking=ranking, completion_id=one.completion_id, tier=one.tier)
            for one in pairs[ranking.annotation.item_id].entries.all()
        )
    # One who compares in ten seconds, and one who ranks for a minute as the others do.
    Annotation.objects.filter(annotator=bob).update(active_ms=10_000)
    Annotation.objects.exclude(annotator=bob).update(active_ms=60_000)
    found = {(one.signal.detector, one.signal.people) for one in flags(project)}
    assert ("copier", (bob.pk, bea.pk)) in found
    assert "idle" not in {detector for detector, _ in found}


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
        ({"verdict": "sacked"}, "Dismiss the flag, or pause"),
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
    answer = client.post(url("decide_flag", project), decision(bob, **changes))
    assert answer.status_code == 422
    assert words in answer.text
    assert ("He &lt;b&gt;showed&lt;/b&gt; me why." in answer.text) == ("reason" not in changes)
    assert not FlagDecision.objects.exists()


def test_gold_ratings_say_who_guesses_only_beside_those_of_others() -> None:
    compared = GoldAnswer(99, 1, 99, "comparison", is_right=True)
    # On this scale nobody gives the known points more often than once in four times.
    rated = [
        GoldAnswer(item, person, item, "rating", is_right=not item % 4)
        for person in (1, 2, 3)
        for item in range(12)
    ]
    found = gold_by_person([compared, *rated])
    assert found[1] == [(True, HONEST_ON_GOLD), *((not item % 4, 0.25) for item in range(12))]
    right = [is_right for is_right, _ in found[2]]
    assert random_clicks(2, right, 10, 40, 0.9, honest=0.25).p == 1
    assert random_clicks(2, right, 10, 40, 0.9).p < 0.001
    # Twelve by one other person say nothing about how hard they are.
    assert gold_by_person([compared, *rated[:24]]) == {1: [(True, HONEST_ON_GOLD)]}


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


@pytest.fixture
def pausing(project: Project) -> Project:
    project.flag_pause = Project.FlagPause.SURE
    project.save()
    return project


def pause_those_flagged() -> None:
    for project in services.projects_that_pause():
        for flag in services.flags_that_pause(project):
            services.pause_by_flag(project, flag)


def test_flags_pause_nobody_unless_a_project_wants_it(
    project: Project, judged: list[Comparison], bob: User
) -> None:
    pause_those_flagged()
    assert not AutomaticPause.objects.exists()
    assert Membership.objects.get(user=bob).state == "active"


def test_a_sure_flag_pauses_and_tells_why_until_an_owner_decides(
    client: Client, pausing: Project, judged: list[Comparison], bob: User, bea: User, alice: User
) -> None:
    pause_those_flagged()
    pause = AutomaticPause.objects.get()
    assert pause.person == bob
    assert pause.p < 0.001
    assert Membership.objects.get(user=bob).state == "paused"
    assert Membership.objects.get(user=bea).state == "active"
    client.force_login(bob)
    page = client.get(reverse("annotations:home")).text
    assert told_why(pause) in page
    assert "what you have earned is paid" in page
    client.force_login(alice)
    page = client.get(url("flags", pausing)).text
    assert "Paused automatically" in page
    assert "Leave paused" in page
    client.post(url("decide_flag", pausing), decision(bob, detector=pause.detector))
    pause.refresh_from_db()
    assert pause.ended_at is not None
    assert Membership.objects.get(user=bob).state == "active"
    Annotation.objects.create(item=judged[0].annotation.item, annotator=alice, kind="comparison")
    pause_those_flagged()  # by another flag, about which nobody has decided
    assert AutomaticPause.objects.filter(detector=pause.detector).count() == 1
    other = AutomaticPause.objects.get(ended_at=None)
    paused = decision(bob, detector=other.detector, verdict="paused")
    client.post(url("decide_flag", pausing), paused)
    assert not AutomaticPause.objects.filter(ended_at=None).exists()
    assert Membership.objects.get(user=bob).state == "paused"


def test_whom_an_owner_lets_work_again_is_not_paused_for_the_same(
    client: Client, pausing: Project, judged: list[Comparison], bob: User, alice: User
) -> None:
    for _ in range(3):
        pause_those_flagged()
        services.resume_member(Membership.objects.get(user=bob))
        cache.clear()
    assert Membership.objects.get(user=bob).state == "active"
    assert AutomaticPause.objects.count() == 3  # once by each of three flags
    cache.clear()
    pause_those_flagged()
    assert Membership.objects.get(user=bob).state == "active"


def test_neither_reviewers_nor_those_who_pause_already_are_paused(
    pausing: Project, judged: list[Comparison], bob: User
) -> None:
    Membership.objects.filter(user=bob).update(role="reviewer")
    pause_those_flagged()
    assert not AutomaticPause.objects.exists()


def test_the_reason_tells_nobody_of_gold_items(project: Project, bob: User) -> None:
    words = "Right on 2 of 9 gold items"
    pause = AutomaticPause(project=project, person=bob, detector="random", evidence=words)
    assert "gold" not in told_why(pause)


def test_two_who_share_wrong_answers_to_gold_items_are_named_to_the_owner_and_never_paused_alone(
    client: Client, project: Project, alice: User
) -> None:
    prompt = make_prompt(project)
    short, long = make_completion(prompt, "short"), make_completion(prompt, "longer by far")
    people = [User.objects.create(username=f"person-{number}") for number in range(6)]
    known = {"left": short.pk, "right": long.pk, "outcome": "left", "strength": ""}
    items = Item.objects.bulk_create(
        Item(project=project, kind="comparison", prompt=prompt, purpose="gold", gold=known)
        for _ in range(16)
    )
    asked = [(number, item, person) for number, item in enumerate(items) for person in people]
    said = Annotation.objects.bulk_create(
        Annotation(item=item, annotator=person, kind="comparison") for _, item, person in asked
    )
    copying = {person.pk for person in people[:2]}

    def is_wrong(number: int, person: User) -> bool:
        """Two are wrong about every second item, and of the others one about each of the rest."""
        if person.pk in copying:
            return number % 2 == 0
        return number % 2 == 1 and person == people[2 + number // 2 % 4]

    Comparison.objects.bulk_create(
        Comparison(
            annotation=one,
            left=short,
            right=long,
            outcome="right" if is_wrong(number, person) else "left",
        )
        for one, (number, _, person) in zip(said, asked, strict=True)
    )
    project.flag_pause = Project.FlagPause.SURE
    project.save()
    (flag,) = flags(project)
    assert (flag.signal.detector, set(flag.signal.people)) == ("copier_on_gold", copying)
    assert services.flags_that_pause(project) == []
    client.force_login(alice)
    page = client.get(url("flags", project)).content.decode()
    assert "Of 16 gold items that both answered, one has 8 wrong and the other 8; 8 of" in page


def test_in_a_large_project_flags_are_looked_for_in_the_background(
    client: Client, project: Project, bob: User, bea: User, ben: User, alice: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("annotations.selectors.sizes.SMALL", 0)
    make_item(project)
    services.keep_up_counts()
    make_careless(project, bob, bea, ben)
    client.force_login(alice)
    assert flags(project) == []
    assert "looked through at" in client.get(url("flags", project)).text
    assert flags_now(project)  # who pauses by flags waits for nothing
    monkeypatch.setattr("annotations.kept.LEAST_REST_S", 0)
    monkeypatch.setattr("annotations.kept.REST", 0)
    services.keep_up_counts()
    assert flags(project) == flags_now(project)
    client.post(url("decide_flag", project), decision(bob))
    assert [one.signal.detector for one in flags(project)] == ["clockwork", "too_fast"]
