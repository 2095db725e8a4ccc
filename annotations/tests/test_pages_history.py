"""History, items and acknowledgements: what was done and agreed to, through HTTP."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotations import queue, selectors, services
from annotations.models import (
    Annotation,
    Assignment,
    GuidelineAcknowledgement,
    Item,
    Kind,
    Project,
    User,
)
from annotations.tests.factories import make_assignment, make_comparison, make_item, run_out

HTMX = {"HTTP_HX_REQUEST": "true"}


def url(name: str, assignment: Assignment) -> str:
    return reverse(f"annotations:{name}", args=[assignment.pk])


def by_whom(shown: Any) -> list[User]:
    return [one.annotator for one, _said in shown.context["answers"]]


def change(project: Project, **values: object) -> None:
    Project.objects.filter(id=project.pk).update(**values)


# History


def test_one_sees_what_one_did_and_nobody_elses(
    bobs: Client, project: Project, bob: User, bea: User
) -> None:
    mine = make_assignment(make_item(project), bob)
    services.submit_comparison(mine, "tie", "")
    skipped = make_assignment(make_item(project), bob)
    services.skip(skipped, Assignment.SkipReason.BROKEN)
    hers = make_assignment(make_item(project), bea)
    services.submit_comparison(hers, "tie", "")
    html = bobs.get(reverse("annotations:history", args=[project.pk])).text
    assert url("assignment_history", mine) in html
    assert "Something is broken or empty" in html
    assert hers.item.prompt.text not in html
    assert html.index(skipped.item.prompt.text) < html.index(mine.item.prompt.text)


def test_my_work_lists_what_is_open_with_a_way_to_go_on(
    bobs: Client, project: Project, bea: User, comparing: Assignment
) -> None:
    page = reverse("annotations:history", args=[project.pk])
    go_on = f'href="{url("assignment", comparing)}"'
    assert go_on in bobs.get(page).text
    run_out(comparing)
    queue.release_expired()
    assert go_on not in bobs.get(page).text
    Assignment.objects.filter(id=comparing.pk).update(draft={"choice": ["tie"]})
    assert go_on in bobs.get(page).text
    services.submit_comparison(comparing, "tie")
    assert go_on not in bobs.get(page).text
    others = make_assignment(comparing.item, bea)
    assert url("assignment", others) not in bobs.get(page).text


def test_it_shows_one_kind_and_one_page_at_a_time(
    bobs: Client, project: Project, bob: User
) -> None:
    for number in range(51):
        item = make_item(project, Kind.DEMONSTRATION)
        services.submit_demonstration(make_assignment(item, bob), f"frog {number}")
    services.submit_comparison(make_assignment(make_item(project), bob), "tie", "")
    address = reverse("annotations:history", args=[project.pk])
    assert bobs.get(address).context["page"].paginator.count == 52
    assert len(bobs.get(address, {"kind": "comparison"}).context["page"]) == 1
    second = bobs.get(address, {"kind": "demonstration", "page": "2"})
    assert len(second.context["page"]) == 1
    assert bobs.get(address, {"kind": "nonsense", "page": "-3"}).status_code == 200


def test_it_counts_time_agreement_and_earnings(
    bobs: Client, project: Project, bob: User, bea: User, ben: User
) -> None:
    change(project, shows_agreement=True)
    services.set_rate(
        project,
        kind="",
        per_item=Decimal(0),
        per_hour=Decimal("12.00"),
        currency="EUR",
        made_by=project.created_by,
    )
    for number in range(2):
        item = make_item(project, overlap=3, open_slots=3)
        mine = make_assignment(item, bob)
        Assignment.objects.filter(id=mine.pk).update(
            leased_at=Now() - timedelta(minutes=20), active_ms=600_000
        )
        services.submit_comparison(mine, "left", "better")
        make_comparison(item, bea, outcome="left")
        if number:
            make_comparison(item, ben, outcome="tie")
    undone = make_assignment(make_item(project), bob)
    services.submit_comparison(undone, "tie", "")
    services.undo(undone)
    response = bobs.get(reverse("annotations:history", args=[project.pk]))
    statistics = response.context["statistics"]
    assert (statistics.done_today, statistics.done) == (2, 2)
    assert [(entry.kind, entry.done) for entry in statistics.by_kind] == [("comparison", 2)]
    assert (statistics.agreed, statistics.compared, statistics.agreement_percent) == (2, 3, 67)
    assert statistics.earned == ["4.00 EUR"]
    assert "20 min at work, 40 min by the clock" in response.text
    assert "4.00 EUR" in response.text


def test_it_shows_neither_agreement_nor_pay_where_the_project_does_not(
    bobs: Client, project: Project
) -> None:
    html = bobs.get(reverse("annotations:history", args=[project.pk])).text
    assert "Earned" not in html
    assert "Others said the same" not in html


def test_answers_are_told_in_words(bobs: Client, project: Project, bob: User) -> None:
    assignment = make_assignment(make_item(project, Kind.RANKING, texts=("a", "b", "c")), bob)
    first, second, third = assignment.shown_order
    before = services.submit_ranking(assignment, [[second], [first, third]])
    services.submit_ranking(assignment, [[first, second, third]], correcting=before.pk)
    html = bobs.get(url("assignment_history", assignment)).text
    assert "Place of B" in html
    assert "Tier" not in html
    before.refresh_from_db()
    assert f"follows the one of {timezone.localtime(before.created_at):%H:%M:%S}" in html


def test_the_wheel_of_an_item_is_visible(bobs: Client, writing: Assignment) -> None:
    bobs.post(url("draft", writing), {"text": "one", "draft_revision": "0"})
    bobs.post(url("submit", writing), {"text": "one", "draft_revision": "1"})
    bobs.post(url("undo", writing))
    bobs.post(url("submit", writing), {"text": "two", "draft_revision": "2"})
    before = Annotation.objects.order_by("id").last()
    bobs.post(url("submit", writing), {"text": "three", "correcting": before.pk})
    html = bobs.get(url("assignment_history", writing)).text
    table = html[html.index("<tbody>") : html.index("</tbody>")]
    events = re.findall(r"<td>([A-Z][^<]*)</td>", table)
    assert events == [
        "Handed out",
        "Draft begun",
        "Handed in",
        "Taken back",
        "Handed in",
        "Corrected",
    ]
    states = re.findall(r"badge--\w+\">([^<]+)<", html)
    assert states == ["corrected since", "corrected since", "in force"] or states == [
        "taken back",
        "corrected since",
        "in force",
    ]
    assert html.index("one") < html.index("two") < html.index("three")


# Items


@pytest.mark.parametrize(
    ("who", "status"),
    [("alice", 200), ("carol", 200), ("eve", 404), ("bob", 404), ("charlie", 404)],
)
def test_owners_and_reviewers_see_what_happened_to_an_item(
    client: Client, project: Project, bob: User, request: Any, who: str, status: int
) -> None:
    assignment = make_assignment(make_item(project), bob)
    services.submit_comparison(assignment, "tie", "", reason="because of the moon")
    client.force_login(request.getfixturevalue(who))
    response = client.get(reverse("annotations:item", args=[assignment.item_id]))
    assert response.status_code == status
    assert ("because of the moon" in response.text) == (status == 200)
    assert client.get(reverse("annotations:item", args=[10**9])).status_code == 404


def test_an_answer_stands_below_the_texts_as_its_annotator_saw_them(
    client: Client, project: Project, alice: User, bob: User
) -> None:
    assignment = make_assignment(make_item(project, texts=("old pond", "new pond")), bob)
    shown = [completion.text for completion in selectors.shown_completions(assignment)]
    services.submit_comparison(assignment, "left", "better")
    client.force_login(alice)
    page = client.get(reverse("annotations:item", args=[assignment.item_id])).text
    answer = page[page.index("Shown as A") :]
    where = [answer.index(said) for said in (shown[0], "Shown as B", shown[1], "Choice")]
    assert where == sorted(where)


def test_answers_are_hidden_from_one_who_owes_theirs(
    client: Client, project: Project, bob: User, carol: User
) -> None:
    item = make_item(project, overlap=2)
    services.submit_comparison(make_assignment(item, bob), "tie", "", reason="secret moon")
    hers = make_assignment(item, carol)
    client.force_login(carol)
    page = reverse("annotations:item", args=[item.pk])
    assert "secret moon" not in client.get(page).text
    services.submit_comparison(hers, "tie", "")
    assert "secret moon" in client.get(page).text


def test_the_author_is_hidden_from_an_owner_who_has_the_review(
    client: Client, project: Project, bob: User, alice: User
) -> None:
    """On the page of the item, where everybody who was handed it stands, and on that of answers."""
    writing = make_assignment(make_item(project, Kind.DEMONSTRATION), bob)
    written = services.submit_demonstration(writing, "secret moon")
    review = make_assignment(make_item(project, Kind.REVIEW, subject=written), alice)
    client.force_login(alice)
    pages = [
        reverse("annotations:item", args=[written.item_id]),
        reverse("annotations:answers", args=[project.pk]),
    ]
    for page in pages:
        shown = client.get(page).text
        assert "secret moon" not in shown
        assert f">{bob}</caption>" not in shown
    services.skip(review, "unclear")
    assert f">{bob}</caption>" in client.get(pages[0]).text
    for page in pages:
        assert "secret moon" in client.get(page).text


def test_an_owner_reads_what_people_said_newest_first(
    client: Client, project: Project, alice: User, bob: User, carol: User
) -> None:
    item, owed = make_item(project, overlap=2), make_item(project, overlap=2)
    services.submit_comparison(make_assignment(item, bob), "tie", "")
    services.submit_comparison(make_assignment(item, carol), "left", "better")
    services.submit_comparison(make_assignment(owed, bob), "tie", "")
    make_assignment(owed, alice)
    page = reverse("annotations:answers", args=[project.pk])
    overview = reverse("annotations:project", args=[project.pk])
    client.force_login(carol)
    assert client.get(page).status_code == 404
    client.force_login(alice)
    assert f"{page}?kind=comparison" in client.get(overview).text
    shown = client.get(page)
    assert by_whom(shown) == [carol, bob]
    assert "Choice: A is better" in shown.text
    assert reverse("annotations:item", args=[item.pk]) in shown.text
    assert reverse("annotations:item", args=[owed.pk]) not in shown.text
    project.memberships.filter(user=bob).delete()
    assert by_whom(client.get(page, {"annotator": bob.pk})) == [bob]
    assert "No answer matches" in client.get(page, {"kind": "review"}).text
    for nonsense in ({"kind": "x"}, {"annotator": "x"}, {"annotator": 2**63}, {"before": "x"}):
        assert len(by_whom(client.get(page, nonsense))) == 2


def test_an_owner_reads_on_from_the_oldest_answer_of_a_page(
    client: Client,
    project: Project,
    alice: User,
    bob: User,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_max_num_queries: Any,
) -> None:
    for _each in range(3):
        assignment = make_assignment(make_item(project, Kind.RANKING), bob)
        services.submit_ranking(assignment, [[shown] for shown in assignment.shown_order])
    client.force_login(alice)
    page = reverse("annotations:answers", args=[project.pk])
    with django_assert_max_num_queries(14):
        assert "Place of A: 1 · Place of B: 2" in client.get(page).text
    monkeypatch.setattr("annotations.views.history.PAGE_SIZE", 2)
    first = client.get(page, {"kind": "ranking"})
    older = first.context["older_than"]
    assert f"?kind=ranking&amp;before={older}" in first.text
    second = client.get(page, {"kind": "ranking", "before": older})
    assert [one.pk < older for one, _said in second.context["answers"]] == [True]
    assert second.context["older_than"] is None
    assert "Newest" in second.text


def test_an_owner_makes_gold_of_an_answer(
    client: Client, project: Project, alice: User, bob: User, carol: User
) -> None:
    assignment = make_assignment(make_item(project), bob)
    annotation = services.submit_comparison(assignment, "tie", "")
    page = reverse("annotations:item", args=[assignment.item_id])
    make = reverse("annotations:make_gold", args=[assignment.item_id])
    client.force_login(carol)
    assert make not in client.get(page).text
    assert client.post(make, {"annotation": annotation.pk}).status_code == 404
    client.force_login(alice)
    assert make in client.get(page).text
    assert client.post(make, {"annotation": "x"}).status_code == 404
    assert client.post(make, {"annotation": annotation.pk + 1}).status_code == 404
    assert client.get(make).status_code == 405
    assert "knows this answer" in client.post(make, {"annotation": annotation.pk}, follow=True).text
    assert Item.objects.get(purpose="gold").gold["outcome"] == "tie"


def test_a_gold_item_looks_like_any_other(
    client: Client, project: Project, alice: User, bob: User, bea: User
) -> None:
    source = make_assignment(make_item(project), alice)
    gold = services.make_gold(services.submit_comparison(source, "left", "better"))
    change(project, gold_percent=100)
    make_item(project)
    client.force_login(bob)
    html = client.post(reverse("annotations:start", args=[project.pk]), follow=True).text
    assert Assignment.objects.get(annotator=bob).item == gold
    plain = make_assignment(make_item(project), bea)
    client.force_login(bea)
    other = client.get(url("assignment", plain)).text
    assert "gold" not in html.lower()
    shape = re.compile(r"\d+|haiku \d|[A-Za-z0-9]{64}")
    assert len(shape.sub("", html).split()) == len(shape.sub("", other).split())


# Guidelines


def test_new_guidelines_come_before_the_next_item(
    bobs: Client, project: Project, alice: User, bob: User, comparing: Assignment
) -> None:
    bobs.post(url("submit", comparing), {"choice": "tie"})
    make_item(project)
    make_item(project)
    new = services.publish_guideline(
        project, Kind.COMPARISON, "How to do a <b>fair</b> one.", alice
    )
    page = bobs.post(reverse("annotations:start", args=[project.pk]), follow=True)
    held = Assignment.objects.get(state="leased")
    acknowledge = reverse("annotations:acknowledge", args=[new.pk])
    assert page.redirect_chain[-1][0] == f"{acknowledge}?assignment={held.pk}"
    assert "<ins>" in page.text
    assert "<b>fair" not in page.text
    after = bobs.post(acknowledge, {"assignment": held.pk})
    assert after.url == url("assignment", held)
    assert bobs.get(after.url).status_code == 200
    assert GuidelineAcknowledgement.objects.get().guideline_version == new


def test_a_script_is_sent_to_new_guidelines(
    bobs: Client, project: Project, alice: User, comparing: Assignment
) -> None:
    make_item(project)
    new = services.publish_guideline(project, Kind.COMPARISON, "Be fair.", alice)
    response = bobs.post(url("submit", comparing), {"choice": "tie"}, **HTMX)
    assert response["HX-Redirect"].startswith(reverse("annotations:acknowledge", args=[new.pk]))


def test_the_first_encounter_needs_no_acknowledgement(
    bobs: Client, project: Project, alice: User
) -> None:
    services.publish_guideline(project, Kind.COMPARISON, "Be fair.", alice)
    make_item(project)
    page = bobs.post(reverse("annotations:start", args=[project.pk]), follow=True)
    assert page.redirect_chain[-1][0] == url("assignment", Assignment.objects.get())


def test_nobody_acknowledges_what_is_not_theirs_to_read(
    client: Client, project: Project, bob: User, charlie: User
) -> None:
    published = project.guideline_versions.get(kind=Kind.COMPARISON, version=1)
    for user, number in ((charlie, published.pk), (bob, published.pk + 1000)):
        client.force_login(user)
        address = reverse("annotations:acknowledge", args=[number])
        assert client.get(address).status_code == 404
        assert client.post(address).status_code == 404
    assert not GuidelineAcknowledgement.objects.exists()
