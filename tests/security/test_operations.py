"""Every operation of the API, every role, and tokens that reach less than their owners."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import resolve, reverse

from annotations import services
from annotations.api.operations import Operation
from annotations.models import Project, Scope, User
from labelstudio_llm.api import OPERATIONS
from tests.security.addresses import LABELLER, LETS_IN, OPENS
from tests.security.test_addresses import ADDRESSES, PEOPLE
from tests.security.world import ANSWER, AUTHOR, World, make_project_of, make_world

SENT: dict[str, Any] = {
    "create_project": {"name": "Another"},
    "change_project": {"is_paused": False},
    "add_member": {"username": "charlie"},
    "change_member": {"role": "annotator"},
    "invite": {},
    "write_note": {"text": "Hm."},
    "hold_out": {"is_held_out": True},
    "decide_kind": {"kind": "rating", "decision": "granted", "reason": "So."},
    "save_group": {"name": "x", "members": ["<membership_id>"]},
    "set_kind_rule": {"kind": "rating"},
    "answer_question": {"item": 1, "answer": {"kind": "comparison", "outcome": "tie"}},
    "judge_test": {"verdicts": [{"answer": 1, "passes": True, "reason": "So."}]},
    "decide_item": {"answer": {"kind": "comparison", "choice": "tie", "reason": "So."}},
    "practise_with": {"why": "So."},
    "save_guideline_draft": {"text": "So.", "revision": 0},
    "make_gold_of_cases": {"clause": "x"},
    "save_questions": {"questions": [{"form": "flag", "name": "x", "text": "Hm?"}]},
    "publish_questions": {"questions": [{"form": "flag", "name": "x", "text": "Hm?"}]},
    "add_conversations": {"number": 1},
    "write_own_prompt": {"style": "plain", "text": "Hm?"},
    "ask_comparisons_again": {"since": 1, "count": 1},
    "set_rate": {"per_item": "0.10", "currency": "EUR"},
    "adjust_pay": {"amount": "1.00", "currency": "EUR", "reason": "So."},
    "decide_flag": {"detector": "x", "people": [1], "verdict": "dismissed", "reason": "So."},
    "publish_guideline": {"kind": "rating", "text": "So.", "begun_from": 1},
    "add_prompts": {"prompts": [{"prompt": "New"}]},
    "add_completions": {"kind": "rewrite", "completions": [{"prompt": "<prompt_id>", "text": "x"}]},
    "change_import": {"asks": False},
    "start_import": {},
    "take_next": {},
    "submit": {"answer": {"kind": "comparison", "choice": "tie"}},
    "skip": {"reason": "unsure"},
    "save_draft": {"fields": {}, "revision": 0},
    "start_conversation": {"text": "Hm?"},
    "say": {"turn": 1, "text": "And?"},
    "pick": {"turn": 0, "choice": "tie"},
    "pick_again": {"turn": 0},
    "ask_again": {"turn": 0},
    "end_conversation": {},
    "add_scores": {"scores": [{"completion": "<completion_id>", "scorer": "x", "score": 1}]},
    "freeze_snapshot": {"content": "prompts"},
    "start_run": {"stage": "sft", "parent": "<checkpoint_id>", "snapshot": "<snapshot_id>"},
    "resume_run": {},
    "set_priority": {"priority": 0},
    "request_completions": {"prompts": 1, "kind": "rewrite"},
    "add_base_model": {"folder": "x"},
    "fetch_base_model": {"repo": "x"},
    "stop_fetching": {"folder": "x"},
    "push_checkpoint": {"url": "memory://bucket/x"},
    "push_snapshot": {"url": "memory://bucket/x"},
    "start_chat": {"text": "Hm?", "left": "<checkpoint_id>"},
    "say_in_chat": {"turn": 1, "text": "And?"},
    "promote_checkpoint": {"reason": "So."},
    "start_evaluation": {"against": "<checkpoint_id>"},
    "close_round": {"decision": "So."},
    "add_webhook": {"url": "https://hooks.example.org/x", "kinds": ["run.failed"]},
    "change_webhook": {"is_active": False},
    "report_answer": {"letter": "A", "reason": "other"},
    "ask_for_rewrite": {"check": {"kind": "reward"}},
    "change_check": {"check": {"kind": "reward"}},
    "dismiss_ticket": {"words": "So."},
    "delete_snapshot": {"reason": "So."},
    "delete_checkpoint": {"reason": "So."},
    "export_checkpoint": {},
    "estimate_run": {"stage": "sft", "parent": "<checkpoint_id>", "snapshot": "<snapshot_id>"},
    "set_thresholds": {
        "least_rate": 0.5,
        "least_votes": 0,
        "least_voters": 1,
        "largest_kl": None,
    },
    "demote": {"reason": "So."},
    "roll_back": {"reason": "So."},
    "preview_recall": {"batch": "x"},
    "recall_annotations": {"batch": "x", "reason": "So."},
    "lift_recall": {"reason": "So."},
    "replay_cases": {"kind": "comparison", "checkpoint": "<checkpoint_id>"},
    "start_suite": {"against": "<checkpoint_id>"},
    "set_arena": {
        "is_open": False,
        "daily_limit": 9,
        "learns_from_arena": False,
        "checkpoints": [],
    },
    "ask_in_arena": {"text": "Hm?"},
    "vote": {"outcome": "tie"},
    "say_in_battle": {"text": "And?"},
    "praise_in_battle": {"letter": "A", "is_good": True},
    "report_in_battle": {"letter": "A", "reason": "other"},
    "say_differently": {"turn": 0, "text": "And?"},
    "praise_reply": {"is_good": True},
    "report_reply": {"reason": "other"},
    "add_endpoint": {"name": "x", "url": "https://example.org/v1", "model": "x"},
    "change_endpoint": {"timeout_s": 9},
    "set_automation": {"mode": "off", "new_comparisons": 9, "settings_from": "last"},
}


ASKED = {
    "download_export": "?content=preference&format=jsonl",
    "list_gold": "?kind=comparison",
    "get_prospect": "?since=1",
    "find_similar_prompts": "?text=x",
}
"""What has to stand behind an address."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Log no refusals: there are hundreds."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def world(project: Project) -> World:
    person = {name: User.objects.get(username=name) for name in ("alice", "eve", "bob")}
    return make_world(
        project, labeller=person["bob"], owner=person["alice"], engineer=person["eve"]
    )


def token_for(user: User, *projects: Project) -> str:
    scopes = [scope.value for scope in Scope]
    return services.make_api_token(user, name="x", projects=projects, scopes=scopes, days=1)[1]


def filled(value: Any, world: World) -> Any:
    """Return a body with the ids of this world where it names them."""
    if isinstance(value, dict):
        return {name: filled(one, world) for name, one in value.items()}
    if isinstance(value, list):
        return [filled(one, world) for one in value]
    is_name = isinstance(value, str) and value.startswith("<")
    return world.parameters[value.strip("<>")] if is_name else value


def ask(secret: str, operation: Operation, world: World) -> Any:
    """Return what its view answers for an operation; what it did is rolled back."""
    names = [name for _, name in operation.path_parameters]
    path = operation.template.format(**world.arguments(f"api:{operation.name}", names))
    path += ASKED.get(operation.name, "")
    body = filled(SENT.get(operation.name), world)
    sent, kind = "" if body is None else json.dumps(body), "application/json"
    if operation.file is not None:
        path, sent, kind = f"{path}?name=x", '{"prompt": "New"}', "application/octet-stream"
    with transaction.atomic():
        request = RequestFactory().generic(
            operation.method,
            f"/api/v1{path}",
            sent,
            content_type=kind,
            headers={"Authorization": f"Bearer {secret}"},
        )
        view, _, arguments = resolve(request.path_info)
        response = view(request, **arguments)
        if response.streaming:
            response = HttpResponse(b"".join(response.streaming_content), status=200)
        transaction.set_rollback(True)
    return response


def test_it_is_written_down_whose_token_opens_each_operation() -> None:
    assert {operation.name for operation in OPERATIONS} == set(OPENS)
    with_body = {operation.name for operation in OPERATIONS if operation.body is not None}
    assert with_body == set(SENT)


def test_an_operation_exists_for_those_alone_whom_its_page_lets_in(world: World) -> None:
    """And labellers' programs learn neither authors nor others' answers."""
    wrong = []
    for letter in "oerax":
        secret = token_for(User.objects.get(username=PEOPLE[letter]), world.project)
        # Another labeller differs from the first in what is somebody's own.
        wanted = [one for one in OPERATIONS if letter != "x" or OPENS[one.name] == LABELLER]
        for operation in wanted:
            response = ask(secret, operation, world)
            is_open = response.status_code != 404
            if is_open != (letter in OPENS[operation.name]) or response.status_code >= 500:
                wrong.append(f"{PEOPLE[letter]}: {operation.name} {response.status_code}")
            text = response.content.decode(errors="replace")
            if letter in "ax" and (AUTHOR in text or ANSWER in text):
                wrong.append(f"{operation.name} tells {PEOPLE[letter]} too much")
    assert not wrong, "\n".join(wrong)


def test_a_token_for_another_project_opens_nothing_here(world: World, charlie: User) -> None:
    """Neither a stranger's, nor that of the owner for a project of theirs elsewhere."""
    inside = [operation for operation in OPERATIONS if operation.path_parameters]
    owner = world.project.created_by
    # The stranger at every third: all of them are shut to the owner, who reaches more.
    for person, name, step in ((charlie, "Elsewhere", 3), (owner, "Beside", 1)):
        secret = token_for(person, make_project_of(person, name))
        opened = [one.name for one in inside[::step] if ask(secret, one, world).status_code != 404]
        assert not opened, f"{person}: {opened}"


def test_the_document_and_its_page_are_for_everybody() -> None:
    for name in ("api:page", "api:openapi"):
        assert "v" in LETS_IN[name]
        assert name in ADDRESSES
        assert Client().get(reverse(name)).status_code == 200
