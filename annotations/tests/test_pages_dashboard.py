"""The dashboard: how the work goes, when it is done, what it costs, and its pictures as files."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from decimal import Decimal
from xml.etree import ElementTree

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from annotations import selectors, services
from annotations.algorithms.finish import finish
from annotations.models import Project, Recall, User
from annotations.services.daily import keep_up_daily_figures
from annotations.tests.factories import make_assignment, make_comparison, make_item, make_prompt
from annotations.tests.test_daily import answer, move

TITLES = ("Answers", "People", "Speed", "Gold", "Agreement: Compare", "Disagreement by tag")
CAST = {"alice": 200, "eve": 200, "carol": 200, "bob": 404, "charlie": 404}


def page(client: Client, project: Project, query: str = "") -> str:
    response = client.get(reverse("annotations:dashboard", args=[project.pk]) + query)
    assert response.status_code == 200
    return response.text


def table(client: Client, project: Project, panel: str) -> list[dict[str, str]]:
    address = reverse("annotations:dashboard_file", args=[project.pk, panel, "csv"])
    return list(csv.DictReader(io.StringIO(client.get(address).text)))


@pytest.mark.parametrize(("username", "status"), CAST.items())
def test_who_sees_it(client: Client, project: Project, username: str, status: int) -> None:
    client.force_login(User.objects.get(username=username))
    for address in (
        reverse("annotations:dashboard", args=[project.pk]),
        reverse("annotations:dashboard_file", args=[project.pk, "answers", "csv"]),
    ):
        assert client.get(address).status_code == status
        assert client.post(address).status_code == 405


def test_a_project_with_nothing_says_what_to_do_first(
    client: Client, project: Project, alice: User, carol: User
) -> None:
    client.force_login(alice)
    html = page(client, project)
    assert "Nothing yet" in html
    assert reverse("annotations:prompts", args=[project.pk]) in html
    client.force_login(carol)
    assert "once an owner has added prompts" in page(client, project)


def test_items_that_nobody_finished_say_what_is_missing(
    client: Client, project: Project, alice: User
) -> None:
    make_item(project, overlap=3)
    client.force_login(alice)
    assert "looks every half a minute" in page(client, project)
    keep_up_daily_figures()
    html = page(client, project)
    for words in (
        "nobody has answered in four weeks",
        "Nobody has answered in this time",
        "No time was measured yet",
        "No gold item was answered",
        "Nothing was judged yet",
        "Nothing was paid in this time",
        "Tag prompts as you add them",
    ):
        assert words in html


def test_it_shows_work_speed_gold_and_cost(
    client: Client, project: Project, alice: User, carol: User, bob: User, bea: User
) -> None:
    rate = {"kind": "", "per_hour": Decimal(0), "currency": "USD", "made_by": alice}
    services.set_rate(project, per_item=Decimal("0.10"), **rate)
    prompt = make_prompt(project, tags=["<b>frogs</b>"])
    item = make_item(project, prompt=prompt, overlap=10)
    first = answer(item, bob, ms=6000)
    services.set_rate(project, per_item=Decimal("0.30"), **rate)
    answer(item, bea, "right", ms=2000)
    answer(services.make_gold(first), bea, "right", ms=4000)
    keep_up_daily_figures()
    client.force_login(alice)
    html = page(client, project)
    assert "0.70 USD" in html
    assert "Rates that began in this time" in html
    assert "With one person alone" not in html
    assert "&lt;b&gt;frogs" in html
    assert "<b>frogs" not in html
    assert "Bob" in html
    assert [row["comparison"] for row in table(client, project, "answers")][-1] == "2"
    assert [row["gold"] for row in table(client, project, "answers")][-1] == "1"
    assert table(client, project, "speed")[-1]["answers_an_hour"] == "900.00"
    assert table(client, project, "gold")[-1]["share"] == "0.0000"
    assert len(table(client, project, "gold")) in (5, 6)  # weeks, of 30 days
    assert table(client, project, "cost-USD")[-1]["comparison"] == "0.700000"
    people = {row["person"]: row["answers"] for row in table(client, project, "people")}
    assert people == {"Bob": "1", "Bea": "1"}
    tag = table(client, project, "tags")[0]
    assert (tag["tag"], tag["answers"], tag["disagreement: Compare"]) == (
        "<b>frogs</b>",
        "2",
        "1.0000",
    )
    client.force_login(carol)  # who sees neither names nor money
    html = page(client, project)
    assert "Bob" not in html
    assert "annotator-" in html
    assert "USD" not in html
    address = reverse("annotations:dashboard_file", args=[project.pk, "cost-USD", "csv"])
    assert client.get(address).status_code == 404


def test_each_picture_is_a_file_of_its_own(
    client: Client, project: Project, alice: User, bob: User, bea: User
) -> None:
    prompt = make_prompt(project, tags=["a & b"])
    for number in range(3):
        item = make_item(project, prompt=prompt, overlap=2, texts=[f"x{number}", f"y{number}"])
        answer(item, bob)
        answer(item, bea, "left" if number else "right")
    answer(services.make_gold(item.annotations.all()[0]), bea)
    keep_up_daily_figures()
    client.force_login(alice)
    for name in ("answers", "people", "speed", "gold", "agreement-1", "tags"):
        address = reverse("annotations:dashboard_file", args=[project.pk, name, "svg"])
        response = client.get(f"{address}?days=90")
        assert response["Content-Type"].startswith("image/svg+xml")
        assert f"{name}-{project.pk}-90-days.svg" in response["Content-Disposition"]
        tree = ElementTree.fromstring(response.text)
        style = tree.find("{http://www.w3.org/2000/svg}style")
        assert style is not None
        assert "#2f4a8c" in (style.text or "")
        assert "var(" not in response.text
        assert tree.attrib["viewBox"].startswith("0 -44 ")
        words = [one.text for one in tree.iter("{http://www.w3.org/2000/svg}text")]
        assert (words[0] or "").startswith(TITLES)
    for name, ending in (("answers", "exe"), ("nothing", "csv"), ("cost", "svg")):
        address = reverse("annotations:dashboard_file", args=[project.pk, name, ending])
        assert client.get(address).status_code == 404


def test_one_person_alone_and_all_ties_get_sentences(
    client: Client, project: Project, alice: User, bob: User, bea: User
) -> None:
    items = [make_item(project, overlap=2) for _ in range(2)]
    for item in items:
        answer(item, bob, "tie")
    keep_up_daily_figures()
    client.force_login(alice)
    html = page(client, project)
    assert "With one person alone" in html
    assert "Nothing was judged by two people yet" in html
    for item in items:
        answer(item, bea, "tie")
    keep_up_daily_figures()
    html = page(client, project)
    assert "Everybody gave one and the same answer" in html
    assert "nan" not in html


def test_a_gold_item_that_everybody_fails_is_offered_for_review(
    client: Client, project: Project, alice: User, carol: User, bob: User
) -> None:
    gold = services.make_gold(answer(make_item(project), bob))
    for number in range(6):
        make_comparison(gold, User.objects.create(username=f"p{number}"), "right")
    client.force_login(alice)
    html = page(client, project)
    assert "0 of 6 gave the known answer" in html
    assert reverse("annotations:item", args=[gold.pk]) in html
    recall = {"project": project, "since": gold.created_at, "reason": "-"}
    recalled = Recall.objects.create(created_by=alice, **recall)
    assert "gave the known answer" not in page(client, project)
    recalled.delete()
    client.post(reverse("annotations:retire_gold", args=[gold.pk]))
    assert "gave the known answer" not in page(client, project)


def test_it_forecasts_from_past_days_and_the_newest_price(
    project: Project, bob: User, alice: User
) -> None:
    rate = {"kind": "", "per_hour": Decimal(0), "currency": "USD", "made_by": alice}
    services.set_rate(project, per_item=Decimal("0.10"), **rate)
    for ago in (1, 2, 3, 4):
        move(answer(make_item(project), bob), ago)
    services.set_rate(project, per_item=Decimal("0.50"), **rate)
    make_item(project, overlap=6)
    make_assignment(make_item(project), bob)
    keep_up_daily_figures()
    board = selectors.dashboard(project, 30)
    (outlook,) = board.outlooks
    assert outlook.left == 7
    assert outlook.finish == finish(7, [1, 1, 1, 1])
    assert outlook.done_on is not None
    assert outlook.done_on[0] == timezone.now().date() + timedelta(days=7)
    assert len(board.bins) == 30
    assert len(selectors.dashboard(project, 365).bins) == 53


def test_one_day_of_work_makes_no_interval(
    client: Client, project: Project, bob: User, alice: User
) -> None:
    client.force_login(alice)
    answer(make_item(project), bob)
    make_item(project, overlap=6)
    keep_up_daily_figures()
    assert "by one day alone: no interval yet" in page(client, project)
    move(answer(make_item(project), bob), 2)
    keep_up_daily_figures()
    assert "by one day alone" not in page(client, project)


def test_a_large_project_shows_what_is_kept_ready(
    client: Client, project: Project, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotations.selectors.sizes.SMALL", 1)
    for _ in range(3):
        make_item(project)
    client.force_login(alice)
    overviews = (reverse("annotations:home"), reverse("annotations:project", args=[project.pk]))
    assert "The items are being counted" in page(client, project)
    for address in overviews:
        assert "The items are being counted" in client.get(address).text
    services.keep_up_counts()
    make_item(project)
    assert "nobody has answered in four weeks" in page(client, project)
    for address in overviews:  # they show what was counted and say when, and do not count
        html = client.get(address).text
        assert "Items </span>3</td>" in html
        assert "counted in the background: these are of" in html


def test_what_a_person_has_done_is_counted_so_far_and_says_so(
    client: Client, project: Project, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        answer(make_item(project), bob)
    client.force_login(bob)
    address = reverse("annotations:project", args=[project.pk])
    assert "2 in all" in client.get(address).text
    monkeypatch.setattr("annotations.selectors.progress.DONE_LIMIT", 1)
    assert "1 or more in all" in client.get(address).text


def test_its_queries_do_not_grow(client: Client, project: Project, alice: User, bob: User) -> None:
    client.force_login(alice)
    answer(make_item(project), bob)
    keep_up_daily_figures()
    selectors.agreement_overview(project)
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as seen:
            page(client, project)
        counts.append(len(seen))
        for number in range(3):
            person = User.objects.create(username=f"q{len(counts)}{number}")
            prompt = make_prompt(project, f"{person}", tags=[str(number)])
            answer(make_item(project, prompt=prompt), person)
        keep_up_daily_figures()
        selectors.agreement_overview(project)
    assert counts[0] == counts[1]


def test_it_shows_one_kind_of_work_and_a_group_of_people(
    client: Client,
    project: Project,
    alice: User,
    carol: User,
    bob: User,
    bea: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group = project.groups.create(name="<i>Poets</i>")
    group.members.add(project.memberships.get(user=bob))
    item = make_item(project, overlap=2)
    for person in (bob, bea):
        answer(item, person)
    services.submit_demonstration(make_assignment(make_item(project, "demonstration"), bob), "a")
    keep_up_daily_figures()
    client.force_login(alice)

    def done(query: str) -> dict[str, str]:
        address = reverse("annotations:dashboard_file", args=[project.pk, "people", "csv"])
        rows = csv.DictReader(io.StringIO(client.get(address + query).text))
        return {row["person"]: row["answers"] for row in rows}

    assert done("") == {"Bob": "2", "Bea": "1"}
    assert done("?kind=comparison") == {"Bob": "1", "Bea": "1"}
    assert done(f"?group={group.pk}") == {"Bob": "2"}
    assert done(f"?kind=demonstration&group={group.pk}") == {"Bob": "1"}
    for unknown in ("?kind=nothing", "?group=0", "?group=x", f"?group={'9' * 40}", "?group=²"):
        assert done(unknown) == done("")
    html = page(client, project, f"?days=90&kind=comparison&group={group.pk}")
    assert "&lt;i&gt;Poets" in html
    assert "<i>Poets" not in html
    assert f"?days=365&amp;kind=comparison&amp;group={group.pk}" in html
    assert "Progress and forecast" not in html
    assert "Agreement: Compare" in html
    assert "Nothing was judged by two people yet" in html  # bea is not in the group
    html = page(client, project, "?kind=demonstration")
    assert "Progress and forecast" in html
    assert "Agreement: Compare" not in html
    client.force_login(carol)  # who is not told who is in a group
    assert "Poets" not in page(client, project)
    assert done(f"?group={group.pk}").keys() == done("").keys()

    monkeypatch.setattr("annotations.selectors.sizes.SMALL", 0)
    client.force_login(alice)
    members = reverse("annotations:members", args=[project.pk])
    found = client.get(members, {"group": group.pk}).context["people"]
    assert [(one.user, one.annotation_count) for one in found] == [(bob, 2)]
    assert client.get(members).context["people"].count() == project.memberships.count()
