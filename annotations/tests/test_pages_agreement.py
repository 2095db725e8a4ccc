"""The page of agreement: every sort of judgement, in parts, with what it means and as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotations import selectors
from annotations.algorithms.reliability import Estimate
from annotations.kept import keep
from annotations.models import (
    Annotation,
    GuidelineVersion,
    Item,
    Kind,
    Project,
    Rating,
    RatingAnswer,
    Recall,
    Retraction,
    User,
)
from annotations.selectors import AgreementOverview, Line
from annotations.selectors.agreement import BEGUN, Begun, Part
from annotations.selectors.agreement_report import in_words
from annotations.services import keep_up_agreement
from annotations.tests.factories import (
    make_annotation,
    make_comparison,
    make_item,
    make_prompt,
    make_ranking,
)

CAST = {"alice": 200, "eve": 200, "carol": 200, "bob": 404, "charlie": 404}


def judge(project: Project, people: Sequence[User], said: Sequence[str], **changes: Any) -> Item:
    """Return an item that each of the people compared; what they said stands beside them."""
    item = make_item(project, **changes)
    for person, outcome in zip(people, said, strict=True):
        make_comparison(item, person, outcome=outcome)
    return item


def rate(item: Item, person: User, values: dict[str, int]) -> None:
    rating = Rating.objects.create(
        annotation=make_annotation(item, person), scheme=item.rating_scheme
    )
    for completion in item.completions.all():
        for question, value in values.items():
            RatingAnswer.objects.create(
                rating=rating, completion=completion, question=question, value=value
            )


def overview(project: Project) -> AgreementOverview:
    found = selectors.agreement_overview(project)
    assert found is not None
    return found


def line_of(project: Project, name: str) -> Line:
    return next(one for one in overview(project).lines if one.name == name)


def page(client: Client, project: Project, query: str = "") -> str:
    response = client.get(reverse("annotations:agreement", args=[project.pk]) + query)
    assert response.status_code == 200
    return response.text


@pytest.fixture
def judged(project: Project, bob: User, bea: User) -> list[Item]:
    """Twelve comparisons by two people, of whom bea says something else every third time."""
    return [
        judge(project, (bob, bea), ("left", "right" if number % 3 == 0 else "left"))
        for number in range(12)
    ]


@pytest.mark.parametrize("name", ["agreement", "agreement_as_csv"])
@pytest.mark.parametrize(("username", "status"), CAST.items())
def test_who_sees_it(
    client: Client, project: Project, name: str, username: str, status: int
) -> None:
    client.force_login(User.objects.get(username=username))
    address = reverse(f"annotations:{name}", args=[project.pk])
    assert client.get(address).status_code == status
    assert client.post(address).status_code == 405


def test_it_says_what_to_do_where_nothing_was_judged(
    client: Client, project: Project, alice: User
) -> None:
    client.force_login(alice)
    assert "Nothing to agree about yet" in page(client, project)


def test_it_shows_agreement_with_its_interval_and_n(
    client: Client, project: Project, alice: User, carol: User, judged: list[Item]
) -> None:
    client.force_login(alice)
    html = page(client, project)
    line = line_of(project, "Compare")
    assert (line.things, line.labels, line.people) == (12, 24, 2)
    assert line.pairwise.value == pytest.approx(8 / 12)
    assert "67\u202f%" in html
    assert overview(project).ceiling.value == pytest.approx((1 + (2 * 8 / 12 - 1) ** 0.5) / 2)
    assert "Bob and Bea" in html
    assert "nan" not in html
    client.force_login(carol)  # who sees pseudonyms, as in exports
    html = page(client, project)
    assert "Bob and Bea" not in html
    assert "annotator-" in html


def test_one_person_alone_gets_sentences_and_no_numbers(
    client: Client, project: Project, alice: User, bob: User
) -> None:
    judge(project, (bob,), ("left",))
    client.force_login(alice)
    html = page(client, project)
    assert "Nothing was judged by two people yet" in html
    assert "nobody judged the same two twice" in html
    assert "Not told apart from chance yet." in html


def test_all_ties_leave_chance_nothing(project: Project, bob: User, bea: User) -> None:
    for _ in range(3):
        judge(project, (bob, bea), ("tie", "tie"))
    line = line_of(project, "Compare")
    assert (line.pairwise.value, line.alpha.value) == (1, None)
    assert line.meaning.startswith("Everybody gave one and the same answer")
    assert overview(project).decided.value is None


def test_sides_do_not_matter_but_completions_do(project: Project, bob: User, bea: User) -> None:
    item = make_item(project)
    first, second = item.completions.order_by("id")
    make_comparison(item, bob, outcome="left")
    other = make_comparison(item, bea, outcome="right")
    other.left, other.right = second, first
    other.save()
    assert line_of(project, "Compare").pairwise.value == 1


def test_rankings_have_a_tau(project: Project, bob: User, bea: User) -> None:
    item = make_item(project, Kind.RANKING)
    a, b, c, d = item.completions.order_by("id").values_list("id", flat=True)
    make_ranking(item, bob, [[a], [b], [c], [d]])
    make_ranking(item, bea, [[d], [c], [b], [a]])
    line = line_of(project, "Rank")
    assert line.tau.value == -1
    assert (line.tau.n, line.things) == (1, 6)


def test_each_question_of_a_rating_has_its_line(project: Project, bob: User, bea: User) -> None:
    for low, high in ((1, 2), (4, 4), (7, 6), (2, 2)):
        item = make_item(project, Kind.RATING)
        rate(item, bob, {"overall": low, "harmful": 0})
        rate(item, bea, {"overall": high, "harmful": int(low == 7)})
    overall, harmful = (line_of(project, f"Rate: {name}") for name in ("overall", "harmful"))
    assert (overall.metric, harmful.metric) == ("ordinal", "nominal")
    assert overall.alpha.value > 0.85 > overall.fleiss.value
    assert overall.interval_alpha.value > 0.9
    assert harmful.pairwise.value == pytest.approx(6 / 8)
    answers = {one.answer: one for one in overview(project).answers}
    assert answers["yes"].said == pytest.approx(2 / 16)
    assert answers["yes"].true + answers["no"].true == pytest.approx(1)
    assert answers["yes"].n == 8


def test_versions_of_the_guidelines_are_told_apart(
    project: Project, alice: User, bob: User, bea: User
) -> None:
    old = GuidelineVersion.objects.get(project=project, kind=Kind.COMPARISON)
    new = GuidelineVersion.objects.create(
        project=project, kind=Kind.COMPARISON, version=2, text="", html="", created_by=alice,
        published_at=timezone.now(),
    )  # fmt: skip
    for version, said in ((old, "right"), (new, "left")):
        item = make_item(project)
        make_comparison(item, bob, outcome="left", guideline_version=version)
        make_comparison(item, bea, outcome=said, guideline_version=version)
    mixed = make_item(project)
    make_comparison(mixed, bob, guideline_version=old)
    make_comparison(mixed, bea, guideline_version=new)
    versions = overview(project).versions
    found = {line.part: (line.pairwise.value, line.things) for line in versions}
    assert found == {"version 1": (0, 1), "version 2": (1, 1)}


def test_an_alpha_below_0_is_no_chance() -> None:
    pairwise = Estimate(0.33, 0.3, 0.36, 12)
    assert "contradict each other" in in_words(Estimate(-0.31, -0.4, -0.2, 12), pairwise)
    assert "holds 0" in in_words(Estimate(-0.31, -0.6, 0.1, 12), pairwise)


def test_an_alpha_without_an_interval_says_why() -> None:
    def said(alpha: float, low: float | None) -> str:
        same = Estimate(alpha, low, 1.0 if low else None, 12)
        return in_words(Estimate(alpha, None, None, 12), same)

    assert "Nobody has disagreed" in said(1.0, 0.76)
    assert "split alike" in said(0.33, 0.14)
    assert "One item alone" in said(0.33, None)


def test_weeks_make_a_chart_with_its_numbers_in_words(
    client: Client, project: Project, alice: User, judged: list[Item]
) -> None:
    long_ago = timezone.now() - timedelta(weeks=3)
    Annotation.objects.filter(item__in=judged[:6]).update(created_at=long_ago)
    client.force_login(alice)
    html = page(client, project)
    weeks = overview(project).weeks
    assert [line.things for line in weeks] == [6, 6]
    assert "<title>Compare: alpha by week</title>" in html
    assert f"{weeks[0].part}: " in html


def test_tags_that_people_disagree_about_come_first(
    client: Client, project: Project, alice: User, bob: User, bea: User
) -> None:
    for tag, said in (("<b>calm</b>", "left"), ("cruel", "right")):
        for number in range(2):
            prompt = make_prompt(project, f"{tag} {number}", tags=[tag])
            judge(project, (bob, bea), ("left", said), prompt=prompt)
    client.force_login(alice)
    html = page(client, project)
    assert html.index("cruel") < html.index("&lt;b&gt;calm&lt;/b&gt;")
    assert "<b>calm</b>" not in html


def test_one_person_asked_again_is_held_against_themselves(project: Project, bob: User) -> None:
    item = make_item(project)
    again = make_item(project, prompt=item.prompt, completions=list(item.completions.all()))
    make_comparison(item, bob, outcome="left")
    make_comparison(again, bob, outcome="right")
    assert overview(project).repeats.value == 0


def test_who_leans_to_a_side_is_told_with_an_interval(
    project: Project, bob: User, bea: User, ben: User
) -> None:
    for number in range(30):
        good = ("left", "right")[number % 2]
        judge(project, (bob, bea, ben), ("left", good, good))
    choosers = {one.person: one for one in overview(project).choosers}
    assert choosers[bob.pk].habits.left_low > 0.5
    assert "Leans to the left" in choosers[bob.pk].meaning
    assert choosers[bea.pk].habits.left_low < 0.5 < choosers[bea.pk].habits.left_high
    assert choosers[bea.pk].habits.right_low > 0.5


def test_gold_and_what_was_taken_back_are_left_out(
    project: Project, bob: User, bea: User, judged: list[Item]
) -> None:
    before = line_of(project, "Compare")
    judge(project, (bob, bea), ("left", "left"), purpose=Item.Purpose.GOLD)
    assert line_of(project, "Compare") == before
    taken_back = Annotation.objects.filter(annotator=bea, item=judged[0]).get()
    Retraction.objects.create(annotation=taken_back)
    assert line_of(project, "Compare").things == 11


def test_it_is_reckoned_again_when_somebody_judges_and_not_before(
    project: Project, bob: User, bea: User, judged: list[Item], django_assert_max_num_queries: Any
) -> None:
    made_at = overview(project).made_at
    with django_assert_max_num_queries(4):
        assert overview(project).made_at == made_at
    judge(project, (bob, bea), ("left", "left"))
    assert line_of(project, "Compare").things == 13


def test_its_queries_do_not_grow_with_the_work(
    client: Client, project: Project, alice: User, bob: User, bea: User, judged: list[Item]
) -> None:
    client.force_login(alice)
    with CaptureQueriesContext(connection) as few:
        page(client, project)
    for number in range(3):
        prompt = make_prompt(project, f"tagged {number}", tags=["tag"])
        judge(project, (bob, bea), ("left", "tie"), prompt=prompt)
    with CaptureQueriesContext(connection) as more:
        page(client, project)
    assert len(more) == len(few)


def test_what_was_recalled_is_left_out_at_once(
    project: Project, bob: User, bea: User, judged: list[Item]
) -> None:
    assert line_of(project, "Compare").things == 12
    Recall.objects.create(project=project, annotator=bea, reason="-", created_by=project.created_by)
    assert line_of(project, "Compare").things == 0


def test_the_table_is_a_file_without_formulas(
    client: Client, project: Project, eve: User, bob: User, bea: User
) -> None:
    prompt = make_prompt(project, tags=["=cmd"])
    judge(project, (bob, bea), ("left", "right"), prompt=prompt, batch="run-1")
    client.force_login(eve)
    address = reverse("annotations:agreement_as_csv", args=[project.pk])
    rows = list(csv.DictReader(io.StringIO(client.get(address).text)))
    assert {row["by"] for row in rows} == {"all", "guideline version", "week", "tag"}
    assert rows[0]["pairwise"] == "0.0000"
    assert rows[0]["pairwise_low"] == ""
    assert [row["part"] for row in rows if row["by"] == "tag"] == ["'=cmd"]
    assert len(client.get(f"{address}?batch=run-1").text.splitlines()) == len(rows) + 1


def test_owners_see_how_far_the_people_of_a_group_agree(
    client: Client, project: Project, alice: User, carol: User, bob: User, bea: User, ben: User
) -> None:
    for _ in range(4):
        judge(project, (bob, bea, ben), ("left", "left", "right"))
    group = project.groups.create(name="<i>Poets</i>")
    group.members.add(*project.memberships.filter(user__in=(bob, bea)))
    address = reverse("annotations:agreement_as_csv", args=[project.pk])

    def same(query: str) -> str:
        return next(csv.DictReader(io.StringIO(client.get(address + query).text)))["pairwise"]

    client.force_login(alice)
    query = f"?group={group.pk}"
    assert (same(""), same(query)) == ("0.3333", "1.0000")
    html = page(client, project, query)
    assert "&lt;i&gt;Poets" in html
    assert "<i>Poets" not in html
    assert f"table.csv{query}" in html
    for unknown in ("?group=0", "?group=x", f"?group={'9' * 40}"):
        assert same(unknown) == same("")
    group.members.add(project.memberships.get(user=ben))
    assert same(query) == "0.3333"
    client.force_login(carol)  # who is not told who is in a group
    assert "Poets" not in page(client, project, query)


def test_what_is_probably_wrong_is_listed_for_a_second_look(
    client: Client, project: Project, alice: User, eve: User, bob: User, bea: User, ben: User
) -> None:
    client.force_login(alice)
    items = []
    for number in range(20):
        good = ("left", "right")[number % 2]
        flipped = ("right", "left")[number % 2] if number == 7 else good
        items.append(judge(project, (bob, bea, ben), (good, good, flipped)))
    odd = items[7]
    assert [(one.item, one.person) for one in overview(project).doubted] == [(odd.pk, ben.pk)]
    address = reverse("annotations:item", args=[odd.pk])
    assert address in page(client, project)
    client.force_login(eve)  # who may not open items
    assert address not in page(client, project)
    assert "Answers that are probably wrong" in page(client, project)


def test_nobody_waits_for_the_report_of_a_large_project(
    client: Client,
    project: Project,
    alice: User,
    judged: list[Item],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("annotations.selectors.sizes.SMALL", 3)
    monkeypatch.setattr("annotations.selectors.agreement.SMALL", 3)
    Item.objects.filter(id__in=[item.pk for item in judged[:5]]).update(batch="run-1")
    client.force_login(alice)
    assert "Being reckoned" in page(client, project)
    assert "run-1" in page(client, project, "?batch=run-1")
    address = reverse("annotations:agreement_as_csv", args=[project.pk])
    assert client.get(address).status_code == 404
    group = project.groups.create(name="Poets")
    group.members.add(*project.memberships.filter(user__username__in=("bob", "bea")))
    of_group = reverse("annotations:agreement", args=[project.pk]) + f"?group={group.pk}"
    asked = client.get(of_group, headers={"HX-Request": "true"})
    assert "<bdi>Poets</bdi> is made in the background" in asked.text
    assert "<html" not in asked.text
    keep(project, BEGUN, Begun(Part(), timezone.now()))
    assert "That was begun at" in page(client, project)
    assert "That was begun at" not in page(client, project, "?batch=run-1")
    keep_up_agreement()
    assert "Two people choose the same side" in page(client, project)
    assert "Two people choose the same side" in page(client, project, "?batch=run-1")
    assert client.get(address).status_code == 200
    assert client.get(of_group, headers={"HX-Request": "true"})["HX-Refresh"] == "true"
    assert "Poets" in client.get(of_group).text
    group.members.clear()  # what is kept is of other people
    assert "Being reckoned" in client.get(of_group).text
