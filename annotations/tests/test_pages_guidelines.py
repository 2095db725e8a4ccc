"""What the pages of guidelines promise: drafts, preview, publishing, two at once, differences."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotations import queue, selectors, services
from annotations.models import (
    GENERAL,
    Assignment,
    GuidelineDraft,
    GuidelineVersion,
    Kind,
    Membership,
    Project,
    Role,
    User,
)
from annotations.tests.factories import make_assignment, make_item

CAST = ("alice", "eve", "carol", "bob", "charlie")


@pytest.fixture
def alices(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def eves(eve: User, project: Project) -> Client:
    """Return another owner at the same time."""
    Membership.objects.filter(project=project, user=eve).update(role=Role.OWNER)
    client = Client()
    client.force_login(eve)
    return client


def url(name: str, project: Project, *args: object) -> str:
    return reverse(f"annotations:{name}", args=[project.pk, *args])


def hidden(page: str) -> dict[str, str]:
    """Return what an editor's page knows of the draft that it shows."""
    found = re.findall(r'name="(revision|begun_from)"(?: id="\w+")? value="(\d*)"', page)
    return dict(found)


@pytest.mark.parametrize("username", CAST)
def test_only_owners_write_guidelines(client: Client, project: Project, username: str) -> None:
    client.force_login(User.objects.get(username=username))
    page = url("edit_guideline", project, "comparison")
    assert client.get(page).status_code == (200 if username == "alice" else 404)
    client.post(page, {"text": "new", "note": "New", "publish": "1"})
    published = GuidelineVersion.objects.filter(kind="comparison", version=2).exists()
    assert published == (username == "alice")


def test_a_draft_is_seen_by_its_author_alone_until_it_is_published(
    client: Client, project: Project, alice: User, bob: User
) -> None:
    client.force_login(alice)
    edit = url("edit_guideline", project, "comparison")
    client.post(edit, {"text": "A *draft* text"})
    assert "A *draft* text" in client.get(edit).text
    client.force_login(bob)
    read = url("guideline", project, "comparison")
    assert "draft" not in client.get(read).text
    client.force_login(alice)
    client.post(edit, {"text": "Published **text**", "note": "Shorter", "publish": "1"})
    client.force_login(bob)
    html = client.get(read).text
    assert "Published <strong>text</strong>" in html
    assert "How to do a comparison." in client.get(read, {"version": "1"}).text


def test_guidelines_are_previewed_before_anything_is_kept(alices: Client, project: Project) -> None:
    edit = url("edit_guideline", project, "comparison")
    before = list(GuidelineVersion.objects.values())
    response = alices.post(edit, {"text": "A **new**\r\ntext <script>x</script>", "preview": "1"})
    assert response.status_code == 200
    assert "A <strong>new</strong>\ntext &lt;script&gt;" in response.text
    assert "not saved yet" in response.text
    assert "A **new**\r\ntext &lt;script&gt;x&lt;/script&gt;</textarea>" in response.text
    assert list(GuidelineVersion.objects.values()) == before
    assert alices.post(edit, {"text": "zero\x00byte", "preview": "1"}).status_code == 422


def test_guidelines_do_not_run_what_they_hold(alices: Client, project: Project) -> None:
    text = "<script>alert(1)</script> [x](javascript:alert(1)) <img src=x onerror=alert(1)>"
    edit = url("edit_guideline", project, "ranking")
    alices.post(edit, {"text": text, "note": "New", "publish": "1"})
    html = alices.get(url("guideline", project, "ranking")).text
    assert "<script>alert" not in html
    assert 'href="javascript' not in html
    assert "<img" not in html


def test_guidelines_that_cannot_be_kept_are_given_back(alices: Client, project: Project) -> None:
    edit = url("edit_guideline", project, "ranking")
    for text in ("  ", "zero\x00byte", "word " * 20_000):
        response = alices.post(edit, {"text": text, "note": "New", "publish": "1"})
        assert response.status_code == 422
        assert 'class="error"' in response.text
    assert "word word" in response.text
    assert GuidelineVersion.objects.filter(kind="ranking").count() == 1


@pytest.mark.parametrize("path", ["guidelines/nonsense/", "guidelines/nonsense/edit/"])
def test_an_unknown_kind_of_guidelines_is_not_found(
    alices: Client, project: Project, path: str
) -> None:
    assert alices.get(url("project", project) + path).status_code == 404


@pytest.mark.parametrize("version", ["7", "x", "-1"])
def test_an_unknown_version_is_not_found(alices: Client, project: Project, version: str) -> None:
    page = url("guideline", project, "comparison")
    assert alices.get(page, {"version": version}).status_code == 404


def test_two_who_publish_at_once_see_both_texts_and_lose_nothing(
    alices: Client, eves: Client, project: Project
) -> None:
    edit = url("edit_guideline", project, "comparison")
    services.publish_guideline(
        project, "comparison", "One\nTwo\nThree\n", project.created_by, begun_from=1
    )
    knows = hidden(alices.get(edit).text)
    first = {"text": "ONE\nTwo\nThree\n", "note": "Louder", "publish": "1", **knows}
    second = {"text": "One\nTwo\nTHREE\n", "note": "At the end", "publish": "1", **knows}
    assert alices.post(edit, first).status_code == 303
    page = eves.post(edit, second)
    assert page.status_code == 409
    assert "Louder" in page.text
    assert ">\nONE\nTwo\nTHREE\n</textarea>" in page.text
    assert "<ins>ONE</ins>" in page.text
    assert GuidelineDraft.objects.get().text == "One\nTwo\nTHREE\n"
    assert selectors.guideline_in_force(project, "comparison").text == "ONE\nTwo\nThree\n"
    merged = {**second, "text": "ONE\nTwo\nTHREE\n", **hidden(page.text)}
    assert eves.post(edit, merged).status_code == 303
    assert selectors.guideline_in_force(project, "comparison").version == 4
    assert not GuidelineDraft.objects.exists()


def test_what_both_changed_is_chosen_by_a_person(
    alices: Client, eves: Client, project: Project
) -> None:
    edit = url("edit_guideline", project, "ranking")
    knows = hidden(alices.get(edit).text)
    alices.post(edit, {"text": "Mine", "note": "a", "publish": "1", **knows})
    page = eves.post(edit, {"text": "Hers", "note": "b", "publish": "1", **knows})
    assert "1 place" in page.text
    text = "<<<<<<< yours\nHers\n=======\nMine\n>>>>>>> theirs\n"
    again = {"text": text, "note": "b", "publish": "1", **hidden(page.text)}
    refused = eves.post(edit, again)
    assert refused.status_code == 422
    assert "still stand beside each other" in refused.text
    assert selectors.guideline_in_force(project, "ranking").text == "Mine"


def test_two_tabs_of_one_person_never_overwrite_each_other(
    alices: Client, project: Project
) -> None:
    draft, edit = (
        url("guideline_draft", project, "ranking"),
        url("edit_guideline", project, "ranking"),
    )
    knows = hidden(alices.get(edit).text)
    saved = alices.post(draft, {"text": "First **tab**", **knows})
    assert saved.status_code == 200
    assert "First <strong>tab</strong>" in saved.text
    stale = alices.post(draft, {"text": "Second tab", **knows})
    assert stale.status_code == 409
    assert "another tab" in stale.text
    page = alices.post(edit, {"text": "Second tab", **knows})
    assert page.status_code == 409
    assert "First **tab**" in page.text
    assert GuidelineDraft.objects.get().text == "First **tab**"
    on_purpose = {"text": "Second tab", **knows, **hidden(page.text)}
    assert alices.post(edit, on_purpose).status_code == 303
    assert "Second tab" in alices.get(edit).text


def test_a_draft_may_be_longer_than_what_is_published(alices: Client, project: Project) -> None:
    draft = url("guideline_draft", project, "ranking")
    text = "word " * 40_000
    saved = alices.post(draft, {"text": text})
    assert saved.status_code == 200
    assert "at most 65,536 fit" in saved.text
    assert GuidelineDraft.objects.get().text == text
    assert alices.post(draft, {"text": "zero\x00byte"}).status_code == 422
    assert GuidelineDraft.objects.get().text == text


def test_a_new_version_says_what_is_new(alices: Client, project: Project) -> None:
    edit = url("edit_guideline", project, "ranking")
    refused = alices.post(edit, {"text": "New", "publish": "1"})
    assert refused.status_code == 422
    assert "Say in a sentence what is new" in refused.text
    assert GuidelineDraft.objects.get().text == "New"
    alices.post(edit, {"discard": "1"})
    assert not GuidelineDraft.objects.exists()


def test_drafts_of_others_are_told_and_kept(alices: Client, eves: Client, project: Project) -> None:
    edit = url("edit_guideline", project, "ranking")
    alices.post(edit, {"text": "Mine"})
    page = eves.get(edit).text
    assert "Alice</bdi> writes, too" in page
    assert "Mine" not in page
    eves.post(edit, {"text": "Hers", "note": "x", "publish": "1"})
    assert "Mine" in alices.get(edit).text


@pytest.mark.parametrize("username", CAST)
def test_drafts_are_saved_by_owners_alone(client: Client, project: Project, username: str) -> None:
    client.force_login(User.objects.get(username=username))
    page = url("guideline_draft", project, "comparison")
    status = client.post(page, {"text": "new"}).status_code
    assert status == (200 if username == "alice" else 404)
    assert GuidelineDraft.objects.exists() == (username == "alice")
    assert client.get(page).status_code == 405


def test_the_general_part_stands_before_that_of_every_kind(
    alices: Client, project: Project, alice: User, bob: User
) -> None:
    before = selectors.guideline_in_force(project, Kind.COMPARISON)
    make_assignment(make_item(project), bob, state="submitted")
    general = services.publish_guideline(project, GENERAL, "Be *fair*.", alice, note="Fairness")
    after = selectors.guideline_in_force(project, Kind.COMPARISON)
    assert (after.version, after.general, after.text) == (2, general, before.text)
    assert after.html.index("<em>fair</em>") < after.html.index("How to do a comparison.")
    assert selectors.known_guideline(bob, after) == before
    services.publish_guideline(project, Kind.COMPARISON, "Read both.", alice, begun_from=1)
    newest = selectors.guideline_in_force(project, Kind.COMPARISON)
    assert newest.full_text == "Be *fair*.\n\nRead both.\n"
    assert "Be <em>fair</em>" in alices.get(url("guideline", project, Kind.COMPARISON)).text
    assert alices.get(url("guideline", project, GENERAL)).status_code == 200


def test_every_kind_is_stamped_with_its_version(project: Project, alice: User, bob: User) -> None:
    services.publish_guideline(project, GENERAL, "Be fair.", alice)
    for kind in Kind:
        make_item(project, kind)
        assignment = queue.lease_next(bob, project, kind)
        assert assignment is not None
        assert assignment.guideline_version is not None
        assert (assignment.guideline_version.kind, assignment.guideline_version.version) == (
            kind,
            2,
        )
        Assignment.objects.update(state=Assignment.State.EXPIRED)


@pytest.mark.parametrize("username", CAST)
def test_members_compare_two_versions(client: Client, project: Project, username: str) -> None:
    services.publish_guideline(
        project, "comparison", "How to do a fair comparison.\n\nNew.", project.created_by
    )
    client.force_login(User.objects.get(username=username))
    page = url("compare_guidelines", project, "comparison")
    assert client.post(page).status_code == 405 if username != "charlie" else True
    response = client.get(page)
    assert response.status_code == (404 if username == "charlie" else 200)
    if username != "charlie":
        assert "<ins>fair </ins>" in response.text
        assert "+</span>" in response.text
        for query in ({"old": 1}, {"old": 1, "new": 9}, {"old": "x", "new": 2}):
            assert client.get(page, query).status_code == 404


def test_acknowledging_shows_the_notes_of_all_versions_missed(
    client: Client, project: Project, alice: User, bob: User
) -> None:
    make_assignment(make_item(project), bob, state="submitted")
    for number in (2, 3):
        version = services.publish_guideline(
            project, Kind.COMPARISON, f"Text {number}", alice, note=f"Note <{number}>"
        )
    client.force_login(bob)
    page = client.get(reverse("annotations:acknowledge", args=[version.pk])).text
    assert page.index("Note &lt;3&gt;") < page.index("Note &lt;2&gt;")


def test_guidelines_take_the_same_queries_however_many_there_are(
    alices: Client, project: Project, alice: User
) -> None:
    page = url("guidelines", project)
    with CaptureQueriesContext(connection) as few:
        alices.get(page)
    for number in range(5):
        services.publish_guideline(project, GENERAL, f"Part {number}", alice)
    with CaptureQueriesContext(connection) as many:
        alices.get(page)
    assert GuidelineVersion.objects.count() > 40
    assert len(many) == len(few) < 15
