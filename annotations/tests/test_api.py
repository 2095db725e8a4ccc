"""Programs do with a token what its owner does on the pages, and no more."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from annotations import services
from annotations.models import (
    Annotation,
    ApiToken,
    Assignment,
    GuidelineVersion,
    Kind,
    Membership,
    Project,
    Prompt,
    Role,
    Scope,
    User,
)
from annotations.tests.factories import (
    make_assignment,
    make_completion,
    make_item,
    make_prompt,
)

pytestmark = pytest.mark.django_db

ALL = tuple(scope.value for scope in Scope)


class Program:
    """A program with a token."""

    def __init__(self, user: User, *projects: Project, scopes: tuple[str, ...] = ALL) -> None:
        self.token, self.secret = services.make_api_token(
            user, name="a program", projects=projects, scopes=scopes, days=7
        )
        self.client = Client()

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        return self.client.generic(
            method,
            f"/api/v1/{path}",
            "" if body is None else json.dumps(body),
            content_type="application/json",
            headers={"Authorization": f"Bearer {self.secret}", **headers},
        )

    def get(self, path: str) -> Any:
        return self.ask("GET", path)

    def post(self, path: str, body: object = None, **headers: str) -> Any:
        return self.ask("POST", path, {} if body is None else body, **headers)


def problem_of(response: Any, status: int, name: str) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["type"] == f"/api/v1/#{name}"
    assert found["status"] == status
    assert found["detail"]
    return found


@pytest.fixture
def owner(project: Project, alice: User) -> Program:
    return Program(alice, project)


@pytest.fixture
def labeller(project: Project, bob: User) -> Program:
    return Program(bob, project)


# Tokens --------------------------------------------------------------------------------------


def test_it_tells_a_program_who_it_is(labeller: Program, project: Project) -> None:
    found = labeller.get("me").json()
    assert found["username"] == "bob"
    assert found["projects"] == [{"id": project.pk, "name": "Haiku", "role": "annotator"}]
    assert labeller.secret not in str(ApiToken.objects.values().get())


def test_no_session_lets_in(client: Client, project: Project, alice: User) -> None:
    client.force_login(alice)
    response = client.get("/api/v1/projects")
    problem_of(response, 401, "no-token")
    assert response["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("end", ["revoked", "expired", "inactive"])
def test_a_token_that_is_over_lets_nobody_in(labeller: Program, bob: User, end: str) -> None:
    over = {"revoked": {"revoked_at": timezone.now()}, "expired": {"expires_at": timezone.now()}}
    if end == "inactive":
        User.objects.filter(id=bob.pk).update(is_active=False)
    else:
        ApiToken.objects.update(**over[end])
    problem_of(labeller.get("me"), 401, "no-token")


def test_a_token_is_good_for_its_scopes_alone(project: Project, alice: User) -> None:
    reader = Program(alice, project, scopes=("read",))
    path = f"projects/{project.pk}/prompts"
    assert reader.get(path).status_code == 200
    found = problem_of(reader.post(path, {"prompts": [{"prompt": "x"}]}), 403, "missing-scope")
    assert "'write'" in found["detail"]
    assert not project.prompts.exists()


def test_a_token_reaches_its_projects_alone(project: Project, alice: User, bob: User) -> None:
    other = services.create_project(name="Other", description="", created_by=alice)
    services.add_member(other, bob, Role.ANNOTATOR)
    make_item(other)
    theirs = Program(bob, other).post(f"projects/{other.pk}/next").json()["assignment"]["id"]
    program = Program(bob, project)
    assert [p["id"] for p in program.get("projects").json()["items"]] == [project.pk]
    for path in (f"projects/{other.pk}", f"projects/{other.pk}/assignments"):
        problem_of(program.get(path), 404, "not-found")
    problem_of(program.get(f"assignments/{theirs}"), 404, "not-found")


def test_it_refuses_what_the_role_of_its_owner_does_not_allow(
    labeller: Program, project: Project
) -> None:
    prompt = make_prompt(project)
    completion = make_completion(prompt)
    item = make_item(project, prompt=prompt)
    for path in (
        *(f"projects/{project.pk}/{what}" for what in ("members", "prompts", "completions")),
        *(f"projects/{project.pk}/{what}" for what in ("items", "annotations")),
        f"prompts/{prompt.pk}",
        f"completions/{completion.pk}",
        f"items/{item.pk}",
    ):
        problem_of(labeller.get(path), 404, "not-found")
    problem_of(labeller.ask("PATCH", f"projects/{project.pk}", {"name": "x"}), 404, "not-found")


def test_somebody_outside_can_make_no_token_for_a_project(project: Project, charlie: User) -> None:
    with pytest.raises(services.ServiceError):
        Program(charlie, project)


# What is sent --------------------------------------------------------------------------------


def test_an_unknown_filter_is_named_with_those_that_there_are(
    owner: Program, project: Project
) -> None:
    response = owner.get(f"projects/{project.pk}/prompts?spilt=train")
    found = problem_of(response, 400, "wrong-filter")
    assert "split" in found["allowed"]
    assert found["errors"][0]["field"] == "spilt"
    for wrong in ("split=left", "limit=0", "limit=1e1", "cursor=x", "limit=1&limit=2"):
        problem_of(owner.get(f"projects/{project.pk}/prompts?{wrong}"), 400, "wrong-filter")


def test_a_wrong_body_is_told_field_by_field(owner: Program, project: Project) -> None:
    path = f"projects/{project.pk}/members"
    found = problem_of(owner.post(path, {"role": "king", "x": 1}), 422, "wrong-body")
    assert {error["field"] for error in found["errors"]} == {"username", "role", "x"}
    problem_of(owner.post(path, {"username": "a\0b"}), 422, "wrong-body")
    secret = f"Bearer {owner.secret}"
    bare = {"path": f"/api/v1/{path}", "headers": {"Authorization": secret}}
    problem_of(
        owner.client.post(**bare, data="{", content_type="application/json"), 400, "malformed"
    )
    problem_of(owner.client.post(**bare, data={"username": "x"}), 415, "wrong-media-type")
    response = owner.ask("PUT", path)
    problem_of(response, 405, "wrong-method")
    assert response["Allow"] == "GET, POST"
    for nowhere in ("nowhere", "no%0Awhere", "projects/%0A"):
        problem_of(owner.get(nowhere), 404, "not-found")
    assert owner.ask("HEAD", path).status_code == 200


def test_a_whole_number_may_be_written_as_json_schema_lets_it(
    owner: Program, project: Project
) -> None:
    path = f"projects/{project.pk}"
    changes = {"lease_minutes": 65.0, "line_syllables": [5.0, 7]}
    settings = owner.ask("PATCH", path, changes).json()["settings"]
    assert (settings["lease_minutes"], settings["line_syllables"]) == (65, [5, 7])
    for wrong in (65.5, "65", True):
        found = owner.ask("PATCH", path, {"lease_minutes": wrong})
        [error] = problem_of(found, 422, "wrong-body")["errors"]
        assert error == {"field": "lease_minutes", "message": "Write a whole number."}


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"answer": {"kind": "comparison", "choice": "A"}}, "answer.choice", "'left-better'"),
        ({"answer": {"kind": "comparison"}}, "answer.choice", "needed"),
        ({"answer": {"choice": "tie"}}, "answer", "'kind'"),
        ({"choice": "tie"}, "choice", "no such field"),
        ({"answer": {"kind": "guess"}}, "answer", "'guess'"),
        ([1], "body", "an object"),
    ],
)
def test_a_wrong_answer_is_told_where_it_was_written(
    labeller: Program, body: object, field: str, words: str
) -> None:
    found = problem_of(labeller.post("assignments/1/submit", body), 422, "wrong-body")
    said = {error["field"]: error["message"] for error in found["errors"]}
    assert words in said[field]
    assert ".;" not in found["detail"]


def test_pages_of_a_list_are_stable_while_it_grows(owner: Program, project: Project) -> None:
    for number in range(5):
        make_prompt(project, f"Prompt {number}")
    path = f"projects/{project.pk}/prompts?limit=2"
    page = owner.get(path).json()
    seen = [one["messages"][0]["content"] for one in page["items"]]
    while page["next"]:
        make_prompt(project, f"Later {len(seen)}")
        page = owner.get(f"{path}&cursor={page['next']}").json()
        seen += [one["messages"][0]["content"] for one in page["items"]]
    assert seen == [f"Prompt {number}" for number in (4, 3, 2, 1, 0)]


def test_the_same_key_twice_does_it_once(owner: Program, project: Project) -> None:
    path = f"projects/{project.pk}/prompts"
    body = {"prompts": [{"prompt": "About rain."}]}
    key = {"Idempotency-Key": "prompts-7"}
    first = owner.post(path, body, **key)
    again = owner.post(path, body, **key)
    assert first.status_code == again.status_code == 201
    prompt = Prompt.objects.get()
    assert first.json() == again.json()
    assert first.json() == {"created": 1, "duplicates": 0, "items": 1, "ids": [prompt.pk]}
    assert again["Idempotency-Replayed"] == "true"
    other = {"prompts": [{"prompt": "About snow."}]}
    problem_of(owner.post(path, other, **key), 409, "key-used")
    problem_of(owner.post(path, body, **{"Idempotency-Key": "x" * 256}), 400, "malformed")
    assert project.prompts.count() == 1
    assert owner.post(path, body).json()["duplicates"] == 1


def test_what_was_refused_can_be_asked_again_with_its_key(owner: Program, project: Project) -> None:
    path, body = f"projects/{project.pk}/members", {"username": "zoe"}
    key = {"Idempotency-Key": "zoe"}
    problem_of(owner.post(path, body, **key), 404, "not-found")
    User.objects.create_user("zoe")
    assert owner.post(path, body, **key).status_code == 201


# Projects, members, prompts, completions, items ----------------------------------------------


def test_a_program_sets_up_a_project(owner: Program, bob: User) -> None:
    made = owner.post("projects", {"name": "Poems"})
    assert made.status_code == 201
    project = made.json()["id"]
    changed = owner.ask("PATCH", f"projects/{project}", {"gold_percent": 5, "daily_limit": None})
    assert changed.json()["settings"]["gold_percent"] == 5
    member = owner.post(f"projects/{project}/members", {"username": "bob"}).json()
    paused = owner.ask("PATCH", f"members/{member['id']}", {"is_paused": True}).json()
    assert paused["state"] == "paused"
    assert owner.ask("DELETE", f"members/{member['id']}").status_code == 204
    assert not Membership.objects.filter(project=project, user=bob).exists()
    text = {"kind": "comparison", "text": "Which is calmer?", "begun_from": 0}
    assert owner.post(f"projects/{project}/guidelines", text).json()["version"] == 1
    problem_of(owner.post("projects", {"name": "Poems"}), 409, "not-possible")


def test_prompts_are_added_all_or_none(owner: Program, project: Project) -> None:
    path = f"projects/{project.pk}/prompts"
    wrong = [{"prompt": "A"}, {"prompt": [{"role": "assistant", "content": "B"}]}]
    found = problem_of(owner.post(path, {"prompts": wrong}), 422, "wrong-body")
    assert found["errors"][0]["field"] == "prompts.1"
    empty = problem_of(owner.post(path, {"prompts": [{"prompt": []}]}), 422, "wrong-body")
    [_, error] = empty["errors"]
    assert error == {"field": "prompts.0.prompt", "message": "Send at least 1; there are 0."}
    assert not project.prompts.exists()
    right = [{"prompt": "A", "id": "a-1", "tags": ["rain"]}]
    assert owner.post(path, {"prompts": right, "as_demonstrations": False}).json()["items"] == 0
    (listed,) = owner.get(f"{path}?external_id=a-1").json()["items"]
    assert listed["tags"] == ["rain"]


def test_completions_from_elsewhere_are_compared(owner: Program, project: Project) -> None:
    prompt = make_prompt(project)
    body = {
        "kind": "comparison",
        "completions": [
            {"prompt": prompt.pk, "text": text, "source_name": "elsewhere"} for text in "ab"
        ],
    }
    added = owner.post(f"projects/{project.pk}/completions", body).json()
    assert (added["completions"], added["items"], added["dropped"]) == (2, 1, 0)
    (item,) = owner.get(f"projects/{project.pk}/items?batch={added['batch']}").json()["items"]
    assert len(item["completions"]) == 2
    found = owner.get(f"completions/{item['completions'][0]}").json()
    assert found["source_name"] == "elsewhere"
    body["completions"][0]["prompt"] = 999_999
    problem_of(owner.post(f"projects/{project.pk}/completions", body), 409, "not-possible")


# Labelling -----------------------------------------------------------------------------------

ANSWERS = {
    Kind.DEMONSTRATION: {"text": "old pond"},
    Kind.COMPARISON: {"choice": "right-slightly", "reason": "calmer"},
    Kind.RANKING: {"tiers": [["B"], ["A", "C"], ["D"]]},
    Kind.RATING: {"answers": {"A": {"overall": 7}, "B": {"overall": 1, "harmful": 1}}},
    Kind.REWRITE: {"text": "a better one"},
    Kind.REVIEW: {"decision": "accept"},
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_labeller_takes_an_item_and_hands_it_in(
    labeller: Program, owner: Program, project: Project, kind: Kind
) -> None:
    make_item(project, kind)
    taken = labeller.post(f"projects/{project.pk}/next").json()["assignment"]
    assert taken["kind"] == kind
    body = {"answer": {"kind": kind, **ANSWERS[kind]}}
    path = f"assignments/{taken['id']}/submit"
    first, again = labeller.post(path, body), labeller.post(path, body)
    assert first.status_code == 200, first.content
    assert first.json() == again.json()
    annotation = Annotation.objects.get(assignment=taken["id"])
    assert first.json()["annotation"] == annotation.pk
    found = owner.get(f"annotations/{annotation.pk}").json()
    assert found["said"]["kind"] == kind
    assert found["annotator"] == f"annotator-{annotation.annotator_id}"
    if kind == Kind.RANKING:
        order = annotation.shown_order
        assert found["said"]["tiers"] == [[order[1]], [order[0], order[2]], [order[3]]]


def test_it_says_nothing_of_who_wrote_what_is_judged(labeller: Program, project: Project) -> None:
    prompt = make_prompt(project)
    completions = [make_completion(prompt, text, source_name="child-7") for text in "ab"]
    make_item(project, prompt=prompt, completions=completions, purpose="gold")
    project.gold_percent = 100
    project.save()
    taken = labeller.post(f"projects/{project.pk}/next")
    shown = taken.json()["assignment"]["completions"]
    assert [one["letter"] for one in shown] == ["A", "B"]
    assert all(set(one) == {"letter", "text"} for one in shown)
    assert b"child-7" not in taken.content
    assert b"gold" not in taken.content


def test_nor_to_an_owner_who_has_it_to_judge(owner: Program, project: Project, alice: User) -> None:
    item = make_item(project)
    other = make_item(project)
    path = f"projects/{project.pk}/completions"
    ids = set(item.completions.values_list("id", flat=True))
    assignment = make_assignment(item, alice)

    def seen() -> tuple[set[int], int]:
        listed = {one["id"] for one in owner.get(path).json()["items"]}
        return listed & ids, owner.get(f"completions/{min(ids)}").status_code

    assert seen() == (set(), 404)
    listed = owner.get(path).json()["items"]
    assert {one["id"] for one in listed} == set(other.completions.values_list("id", flat=True))
    services.submit_comparison(assignment, "tie", "")
    assert seen() == (ids, 200)


def test_others_answers_are_hidden_until_ones_own_is_in(
    project: Project, owner: Program, labeller: Program
) -> None:
    make_item(project, overlap=2)
    for program in (labeller, owner):
        taken = program.post(f"projects/{project.pk}/next").json()["assignment"]
        if program is labeller:
            program.post(
                f"assignments/{taken['id']}/submit",
                {"answer": {"kind": "comparison", "choice": "tie"}},
            )
    said = Annotation.objects.get()
    path = f"projects/{project.pk}/annotations"
    assert owner.get(path).json()["items"] == []
    problem_of(owner.get(f"annotations/{said.pk}"), 404, "not-found")
    owner.post(f"assignments/{taken['id']}/skip", {"reason": "unsure"})
    assert [one["id"] for one in owner.get(path).json()["items"]] == [said.pk]


def test_a_wrong_answer_is_told_in_the_words_of_the_page(
    labeller: Program, project: Project
) -> None:
    make_item(project, Kind.RANKING)
    taken = labeller.post(f"projects/{project.pk}/next").json()["assignment"]["id"]
    path = f"assignments/{taken}/submit"
    for tiers, words in (
        ([["A"]], "Give this one a place"),
        ([["A", "B"], ["A"]], "two places"),
        ([["A", "B", "C", "Z"]], "There is no completion Z"),
    ):
        response = labeller.post(path, {"answer": {"kind": "ranking", "tiers": tiers}})
        assert words in problem_of(response, 422, "wrong-body")["detail"]
    wrong = {"answer": {"kind": "comparison", "choice": "tie"}}
    assert "takes a ranking" in problem_of(labeller.post(path, wrong), 422, "wrong-body")["detail"]
    assert not Annotation.objects.exists()


def test_drafts_skips_and_undo_go_through_the_rules_of_the_pages(
    labeller: Program, project: Project
) -> None:
    make_item(project)
    taken = labeller.post(f"projects/{project.pk}/next").json()["assignment"]
    path = f"assignments/{taken['id']}"
    draft = {"fields": {"choice": ["tie"]}, "revision": 0}
    assert labeller.ask("PUT", f"{path}/draft", draft).json()["revision"] == 1
    stale = {"fields": {"choice": ["both_bad"]}, "revision": 0}
    problem_of(labeller.ask("PUT", f"{path}/draft", stale), 409, "not-possible")
    answer = {"answer": {"kind": "comparison", "choice": "tie"}, "draft_revision": 0}
    problem_of(labeller.post(f"{path}/submit", answer), 409, "not-possible")
    assert labeller.post(f"{path}/submit", answer | {"draft_revision": 1}).status_code == 200
    undone = labeller.post(f"{path}/undo").json()
    assert (undone["state"], undone["annotation"]) == ("leased", None)
    skipped = labeller.post(f"{path}/skip", {"reason": "unsure"})
    assert skipped.json()["state"] == "skipped"
    assert labeller.post(f"projects/{project.pk}/next").json()["assignment"] is None
    (line,) = labeller.get(f"projects/{project.pk}/assignments").json()["items"]
    assert line["skip_reason"] == "unsure"


def test_new_guidelines_are_read_before_work_goes_on(
    labeller: Program, project: Project, alice: User, bob: User
) -> None:
    make_item(project)
    old = GuidelineVersion.objects.get(project=project, kind=Kind.COMPARISON)
    services.acknowledge(bob, old)
    new = services.publish_guideline(project, Kind.COMPARISON, "Look twice.", alice)
    found = problem_of(labeller.post(f"projects/{project.pk}/next"), 409, "guidelines-changed")
    assert found["guideline"] == new.pk
    text = labeller.post(f"guidelines/{new.pk}/acknowledge").json()["text"]
    assert "Look twice." in text
    assert labeller.post(f"projects/{project.pk}/next").json()["assignment"]


def test_work_that_is_sent_late_is_kept(labeller: Program, project: Project) -> None:
    make_item(project)
    taken = labeller.post(f"projects/{project.pk}/next").json()["assignment"]["id"]
    Assignment.objects.update(lease_until=timezone.now() - timedelta(hours=1))
    answer = {"answer": {"kind": "comparison", "choice": "left-better"}}
    assert labeller.post(f"assignments/{taken}/submit", answer).status_code == 200
    assert Annotation.objects.count() == 1


def test_lists_take_the_same_number_of_queries_however_long(
    owner: Program, labeller: Program, project: Project, django_assert_max_num_queries: Any
) -> None:
    for kind in (Kind.COMPARISON, Kind.COMPARISON, Kind.RANKING, Kind.RANKING, Kind.RATING):
        make_item(project, kind)
        taken = labeller.post(f"projects/{project.pk}/next").json()["assignment"]
        answer = {"kind": kind, **ANSWERS[kind]}
        sent = labeller.post(f"assignments/{taken['id']}/submit", {"answer": answer})
        assert sent.status_code == 200
    for what in ("annotations", "items", "prompts", "completions", "members", "guidelines"):
        with django_assert_max_num_queries(10):
            assert owner.get(f"projects/{project.pk}/{what}").status_code == 200


# The document and its page -------------------------------------------------------------------


def test_the_page_and_the_document_name_every_operation(client: Client, db: None) -> None:
    document = client.get("/api/v1/openapi.json").json()
    names = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(names) == len(set(names))
    # Two types of one name would be called by their modules, and led to by no link.
    assert not [name for name in document["components"]["schemas"] if "__api__" in name]
    page = client.get("/api/v1/").content.decode()
    assert all(f'id="{name}"' in page for name in names)
    links = set(re.findall(r'href="#(type-[\w-]+)"', page))
    assert {"type-NewPrompt", "type-ComparisonIn", "type-ItemOut"} <= links
    assert all(f'id="{link}"' in page for link in links)
    assert "integer, 1 to 200" in page
    assert "`" not in page
    assert "<script>" not in page
