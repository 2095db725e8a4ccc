"""What the pages of owners, engineers and everybody's home promise, through HTTP."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django import forms
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from annotations.forms import ProjectSettingsForm
from annotations.models import (
    Item,
    Kind,
    Membership,
    Project,
    Prompt,
    User,
)
from annotations.services.projects import LIMITS
from annotations.tests.factories import make_item, make_prompt

PASSWORD = "haiku-demo"
CAST = ("alice", "eve", "carol", "bob", "charlie")

MAY_READ = {
    "project": {"alice", "eve", "carol", "bob"},
    "guidelines": {"alice", "eve", "carol", "bob"},
    "done": {"alice", "eve", "carol", "bob"},
    "agreement": {"alice", "eve", "carol"},
    "prompts": {"alice", "eve"},
    "import": {"alice", "eve"},
    "members": {"alice"},
    "pay": {"alice"},
    "settings": {"alice"},
}


@pytest.fixture
def alices(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def url(name: str, project: Project, *args: object) -> str:
    return reverse(f"annotations:{name}", args=[project.pk, *args])


@pytest.mark.parametrize("name", MAY_READ)
@pytest.mark.parametrize("username", CAST)
def test_a_page_exists_for_those_who_may_see_it(
    client: Client, project: Project, name: str, username: str
) -> None:
    client.force_login(User.objects.get(username=username))
    expected = 200 if username in MAY_READ[name] else 404
    assert client.get(url(name, project)).status_code == expected


@pytest.mark.parametrize("name", ["home", "create_project"])
def test_a_visitor_is_asked_to_sign_in(client: Client, db: None, name: str) -> None:
    response = client.get(reverse(f"annotations:{name}"))
    assert response.status_code == 302
    assert response.url.startswith("/sign-in/")


@pytest.mark.parametrize("name", ["home", "project", "guidelines", "agreement", "done"])
def test_a_page_that_only_shows_takes_no_post(alices: Client, project: Project, name: str) -> None:
    page = reverse("annotations:home") if name == "home" else url(name, project)
    assert alices.post(page).status_code == 405


def test_signing_in_leads_to_what_was_asked_for(client: Client, project: Project) -> None:
    data = {"username": "bob", "password": PASSWORD, "next": url("project", project)}
    response = client.post(reverse("annotations:sign_in"), data)
    assert (response.status_code, response.url) == (303, url("project", project))


def test_signing_in_never_leads_elsewhere(client: Client, project: Project) -> None:
    data = {"username": "bob", "password": PASSWORD, "next": "https://elsewhere.example/"}
    assert client.post(reverse("annotations:sign_in"), data).url == "/"


def test_a_wrong_password_is_refused_with_a_sentence(client: Client, project: Project) -> None:
    data = {"username": "bob", "password": "wrong"}
    response = client.post(reverse("annotations:sign_in"), data)
    assert response.status_code == 422
    assert 'role="alert"' in response.text
    assert 'value="bob"' in response.text


def test_demo_people_sign_in_with_one_click_in_a_demo(
    client: Client, project: Project, settings: Any
) -> None:
    settings.DEMO = True
    assert 'value="bob"' in client.get(reverse("annotations:sign_in")).text
    client.post(reverse("annotations:sign_in_as_demo_person"), {"username": "bob"})
    assert "Hello, Bob" in client.get("/").text


def test_nobody_signs_in_without_a_password_elsewhere(
    client: Client, project: Project, settings: Any
) -> None:
    settings.DEMO = False
    page = reverse("annotations:sign_in_as_demo_person")
    assert client.post(page, {"username": "bob"}).status_code == 404
    assert "_auth_user_id" not in client.session
    assert 'value="bob"' not in client.get(reverse("annotations:sign_in")).text


def test_signing_out_ends_the_session(alices: Client, project: Project) -> None:
    assert alices.get(reverse("annotations:sign_out")).status_code == 405
    alices.post(reverse("annotations:sign_out"))
    assert "_auth_user_id" not in alices.session


def test_home_offers_what_is_ones_to_do(client: Client, project: Project, bob: User) -> None:
    make_item(project)
    client.force_login(bob)
    html = client.get("/").text
    assert 'name="kind" value="comparison"' in html
    assert 'name="kind" value="ranking"' not in html


def test_home_tells_an_outsider_what_to_do_first(client: Client, charlie: User) -> None:
    client.force_login(charlie)
    assert "No projects yet" in client.get("/").text


@pytest.mark.parametrize("username", ["eve", "carol", "bob", "charlie"])
def test_who_owns_no_project_begins_none(client: Client, project: Project, username: str) -> None:
    client.force_login(User.objects.get(username=username))
    page = reverse("annotations:create_project")
    assert page not in client.get("/").text
    assert client.post(page, {"name": "Mine"}).status_code == 404
    assert Project.objects.count() == 1


def test_a_new_project_belongs_to_its_creator(client: Client, charlie: User) -> None:
    charlie.is_staff = True
    charlie.save()
    client.force_login(charlie)
    assert "Start the first one" in client.get("/").text
    response = client.post(reverse("annotations:create_project"), {"name": "Sonnets"})
    project = Project.objects.get(name="Sonnets")
    assert (response.status_code, response.url) == (303, url("guidelines", project))
    assert Membership.objects.get(project=project).role == "owner"


def test_a_project_needs_a_name_of_its_own(alices: Client, project: Project) -> None:
    for name in ("", "Haiku", "a\x00b", "x" * 101):
        response = alices.post(reverse("annotations:create_project"), {"name": name})
        assert response.status_code == 422, name
    assert Project.objects.count() == 1


def test_the_page_takes_every_number_that_a_program_may_set() -> None:
    for name, (low, high, _) in LIMITS.items():
        field = ProjectSettingsForm.base_fields[name]
        assert isinstance(field, forms.IntegerField)
        assert (field.min_value, field.max_value) == (low, high)


def test_settings_are_saved_and_wrong_ones_refused(alices: Client, project: Project) -> None:
    good = {"name": "Haiku 2", "description": "", "comparison_overlap": 3, "lease_minutes": 10}
    assert alices.post(url("settings", project), good).status_code == 303
    project.refresh_from_db()
    assert (project.name, project.comparison_overlap) == ("Haiku 2", 3)
    bad = {**good, "name": "Haiku 3", "comparison_overlap": 0}
    response = alices.post(url("settings", project), bad)
    assert response.status_code == 422
    assert 'value="Haiku 3"' in response.text
    project.refresh_from_db()
    assert project.name == "Haiku 2"


EVERY_SETTING = {
    "name": "Haiku",
    "description": "Three lines",
    "is_paused": "on",
    "comparison_overlap": "2",
    "lease_minutes": "45",
    "skip_policy": "later",
    "max_skips": "3",
    "daily_limit": "200",
    "total_limit": "5000",
    "gold_percent": "5",
    "review_percent": "20",
    "grace_seconds": "90",
    "own_prompts_allowed": "on",
    "own_conversations_allowed": "on",
    "shows_agreement": "on",
    "rendering": "markdown",
    "counters": ["words", "syllables"],
    "line_syllables": "5-7-5",
}


def test_every_setting_can_be_changed(alices: Client, project: Project) -> None:
    assert alices.post(url("settings", project), EVERY_SETTING).status_code == 303
    project.refresh_from_db()
    assert (project.is_paused, project.edits_allowed) == (True, False)
    assert (project.skip_policy, project.max_skips) == ("later", 3)
    assert (project.daily_limit, project.total_limit) == (200, 5000)
    assert (project.gold_percent, project.review_percent, project.grace_seconds) == (5, 20, 90)
    assert (project.own_prompts_allowed, project.shows_agreement) == (True, True)
    assert project.own_conversations_allowed
    assert (project.rendering, project.counters) == ("markdown", ["words", "syllables"])
    assert project.line_syllables == [5, 7, 5]
    html = alices.get(url("settings", project)).text
    assert 'value="5-7-5"' in html


def test_limits_can_be_taken_away_again(alices: Client, project: Project) -> None:
    alices.post(url("settings", project), EVERY_SETTING)
    nothing = {"daily_limit": "", "total_limit": "", "line_syllables": ""}
    alices.post(url("settings", project), EVERY_SETTING | nothing)
    project.refresh_from_db()
    assert (project.daily_limit, project.total_limit) == (None, None)
    assert project.line_syllables == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gold_percent", "101"),
        ("review_percent", "-1"),
        ("lease_minutes", "0"),
        ("daily_limit", "0"),
        ("grace_seconds", "99999"),
        ("skip_policy", "nowhere"),
        ("rendering", "html"),
        ("counters", ["smiles"]),
        ("line_syllables", "5-seven-5"),
        ("line_syllables", "0-7"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_and_nothing_is_saved(
    alices: Client, project: Project, name: str, value: Any
) -> None:
    response = alices.post(url("settings", project), EVERY_SETTING | {name: value})
    assert response.status_code == 422
    assert 'class="error"' in response.text
    assert 'value="Three lines"' in response.text
    project.refresh_from_db()
    assert project.description == ""


def test_only_kinds_with_work_or_guidelines_are_listed(alices: Client, project: Project) -> None:
    project.guideline_versions.exclude(kind=Kind.COMPARISON).delete()
    make_item(project, Kind.RANKING)
    html = alices.get(url("project", project)).text
    for kind in Kind:
        listed = f">{kind.label}<" in html
        assert listed == (kind in (Kind.COMPARISON, Kind.RANKING)), kind


def test_members_are_added_changed_paused_and_removed(
    alices: Client, project: Project, charlie: User
) -> None:
    alices.post(url("members", project), {"username": "charlie", "role": "reviewer"})
    membership = Membership.objects.get(user=charlie)
    assert membership.role == "reviewer"
    page = url("change_membership", project, membership.pk)
    alices.post(page, {"action": "role", "role": "engineer"})
    alices.post(page, {"action": "pause"})
    membership.refresh_from_db()
    assert (membership.role, membership.state) == ("engineer", "paused")
    alices.post(page, {"action": "resume"})
    membership.refresh_from_db()
    assert membership.state == "active"
    alices.post(page, {"action": "remove"})
    assert not Membership.objects.filter(user=charlie).exists()


def said(client: Client, page: str, data: dict[str, str]) -> str:
    """Return the notices on the page that follows a form."""
    return "".join(re.findall(r'role="status">(.*?)</div>', text_after(client, page, data), re.S))


def text_after(client: Client, page: str, data: dict[str, str]) -> str:
    return client.post(page, data, follow=True).text


def test_each_change_of_a_member_says_what_is_so_now(alices: Client, project: Project) -> None:
    bob = Membership.objects.get(user__username="bob")
    page = url("change_membership", project, bob.pk)
    assert "Saved: Bob is an engineer now." in said(
        alices, page, {"action": "role", "role": "engineer"}
    )
    assert "Bob is paused" in said(alices, page, {"action": "pause"})
    assert "Bob can work again" in said(alices, page, {"action": "resume"})


def test_a_removal_can_be_undone_on_the_page_that_tells_of_it(
    alices: Client, project: Project
) -> None:
    bob = Membership.objects.get(user__username="bob")
    html = text_after(alices, url("change_membership", project, bob.pk), {"action": "remove"})
    assert "Bob is no longer a member." in html
    form = dict(re.findall(r'type="hidden" name="(username|role)" value="(\w+)"', html))
    assert form == {"username": "bob", "role": "annotator"}
    assert "Bob is a member now, as a labeller." in said(alices, url("members", project), form)
    assert Membership.objects.get(user__username="bob").role == "annotator"
    assert "no longer a member" not in alices.get(url("members", project)).text
    again = Membership.objects.get(user__username="bob")
    page = url("change_membership", project, again.pk)
    alices.post(page, {"action": "pause"})
    assert 'name="paused"' in text_after(alices, page, {"action": "remove"})
    alices.post(url("members", project), {**form, "paused": "1"})
    assert Membership.objects.get(user__username="bob").state == "paused"


def test_members_stand_by_role_and_then_by_name(
    alices: Client, project: Project, charlie: User
) -> None:
    zoe = User.objects.create_user("aaa", first_name="zoe")
    for user, role in ((zoe, "annotator"), (charlie, "engineer")):
        Membership.objects.create(project=project, user=user, role=role)
    html = alices.get(url("members", project)).text
    names = re.findall(r'<th scope="row"><a [^>]*><bdi>(.*?)</bdi>', html)
    assert names == ["Alice", "Charlie", "Eve", "Carol", "Bea", "Ben", "Bob", "zoe"]


def test_the_last_owner_stays(alices: Client, project: Project, alice: User) -> None:
    membership = Membership.objects.get(user=alice)
    page = url("change_membership", project, membership.pk)
    for change in (
        {"action": "remove"},
        {"action": "pause"},
        {"action": "role", "role": "engineer"},
    ):
        response = alices.post(page, change)
        assert response.status_code == 409
        assert 'role="alert"' in response.text
    membership.refresh_from_db()
    assert (membership.role, membership.state) == ("owner", "active")


@pytest.mark.parametrize("username", ["eve", "bob", "charlie"])
def test_only_owners_change_members(client: Client, project: Project, username: str) -> None:
    client.force_login(User.objects.get(username=username))
    membership = Membership.objects.get(user__username="bob")
    page = url("change_membership", project, membership.pk)
    assert client.post(page, {"action": "role", "role": "owner"}).status_code == 404
    membership.refresh_from_db()
    assert membership.role == "annotator"


def test_an_unknown_person_or_change_is_refused(alices: Client, project: Project) -> None:
    members = url("members", project)
    response = alices.post(members, {"username": "nobody", "role": "annotator"})
    assert response.status_code == 422
    assert 'value="nobody"' in response.text
    bob = Membership.objects.get(user__username="bob")
    page = url("change_membership", project, bob.pk)
    for change in ({}, {"action": "explode"}, {"action": "role"}, {"action": "role", "role": "x"}):
        assert alices.post(page, change).status_code == 422


def test_pasted_prompts_are_added_and_wait_to_be_answered(alices: Client, project: Project) -> None:
    data = {"text": "First prompt\r\nSecond prompt\r\nFirst prompt", "as_demonstrations": "on"}
    assert alices.post(url("prompts", project), data).status_code == 303
    assert sorted(Prompt.objects.values_list("text", flat=True)) == [
        "First prompt",
        "Second prompt",
    ]
    assert Item.objects.filter(kind=Kind.DEMONSTRATION).count() == 2


def test_prompts_can_be_added_without_asking_for_answers(alices: Client, project: Project) -> None:
    alices.post(url("prompts", project), {"text": "Only a prompt"})
    assert Prompt.objects.count() == 1
    assert not Item.objects.exists()


def test_an_uploaded_file_is_taken_whole_or_not_at_all(alices: Client, project: Project) -> None:
    lines = [json.dumps({"prompt": f"Prompt {number}"}) for number in range(1, 2001)]
    lines[1873] = '{"prompt": '
    lines[1900] = '{"no": "prompt"}'
    file = SimpleUploadedFile("prompts.jsonl", "\n".join(lines).encode())
    response = alices.post(url("prompts", project), {"file": file, "upload": "1"})
    assert response.status_code == 422
    assert '<li value="1874">' in response.text
    assert '<li value="1901">' in response.text
    assert not Prompt.objects.exists()


def test_a_csv_file_is_known_by_its_name(alices: Client, project: Project) -> None:
    file = SimpleUploadedFile("prompts.CSV", b'prompt,id\n"One, two",7\n')
    assert alices.post(url("prompts", project), {"file": file, "upload": "1"}).status_code == 303
    assert Prompt.objects.get().text == "One, two"


def test_an_upload_needs_a_file(alices: Client, project: Project) -> None:
    for data in ({"upload": "1"}, {"upload": "1", "file": SimpleUploadedFile("a.jsonl", b"")}):
        assert alices.post(url("prompts", project), data).status_code == 422


def test_prompts_show_as_text_and_can_be_searched(alices: Client, project: Project) -> None:
    make_prompt(project, "<script>alert(1)</script>")
    make_prompt(project, "\u202eodd direction")
    html = alices.get(url("prompts", project)).text
    assert "<script>alert" not in html
    assert "<bdi>\u202eodd direction</bdi>" in html
    found = alices.get(url("prompts", project), {"search": "direction", "page": "99"}).text
    assert "odd direction" in found
    assert "alert(1)" not in found


def test_prompts_come_in_pages_with_what_hangs_on_each(
    alices: Client, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        prompt = make_prompt(project, f"About {number}", split="test" if number == 1 else "train")
        make_item(project, prompt=prompt, texts=("a", "b")[:number])
    monkeypatch.setattr("annotations.views.prompts.PROMPTS_ON_A_PAGE", 2)
    monkeypatch.setattr("annotations.views.prompts.MOST_FOUND", 3)
    pages = [alices.get(url("prompts", project), {"page": page}).text for page in (1, 2)]
    assert all(f"{part} of 4" in html for part, html in zip(("1–2", "3–4"), pages, strict=True))
    assert "About 3" in pages[0]
    assert "About 0" in pages[1]
    assert '<td class="num">2</td><td class="num">1</td>' in pages[0]
    assert "1–1 of 1" in alices.get(url("prompts", project), {"split": "test"}).text
    found = alices.get(url("prompts", project), {"search": "about"}).text
    assert "1–2 of 3" in found
    assert "the newest 3 that match" in found


def test_an_unknown_page_is_not_found_in_words(alices: Client, project: Project) -> None:
    response = alices.get("/nowhere/")
    assert response.status_code == 404
    assert "Not found" in response.text
