"""What holds for every Celery task, whoever wrote it: a new one has to be listed here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Task, current_app
from django.apps import apps
from django.conf import settings
from django.db.models.functions import Now

from annotations import services as annotation_services
from annotations.algorithms.clauses import Case, write_case
from annotations.models import Kind, Project, User
from annotations.tests.factories import (
    make_assignment,
    make_careless,
    make_comparison,
    make_completion,
    make_item,
    make_prompt,
)
from training import fetches, lifecycle, outcomes, replies, services, tasks
from training.models import Run, Webhook, WebhookMessage
from training.pipeline.checkpoints import seal
from training.selectors import board
from training.tests import scripted, scripted_replies
from training.tests.factories import make_base_folder, make_checkpoint, make_run
from training.tests.servers import serving

Scene = Callable[[Project], list[Any]]
"""Sets out something for a task to do and returns its arguments."""


def a_run(project: Project) -> list[Any]:
    return [make_run(project).pk]


def a_run_that_answers(project: Project) -> list[Any]:
    prompts = [make_prompt(project, text=f"prompt {n}") for n in range(3)]
    request = {
        "prompt_ids": [prompt.pk for prompt in prompts],
        "kind": "comparison",
        "purpose": "training",
        "batch": "run-1",
    }
    return [make_run(project, "sample", parent=make_checkpoint(project), request=request).pk]


def a_run_without_a_hint(project: Project) -> list[Any]:
    make_run(project)
    return []


def a_run_that_went_silent(project: Project) -> list[Any]:
    run = make_run(project)
    lifecycle.claim(run.pk)
    Run.objects.update(started_at=Now() - 2 * lifecycle.silence_allowed())
    return []


def a_turn(project: Project) -> list[Any]:
    checkpoint = make_checkpoint(project)
    services.promote_checkpoint(
        checkpoint, promoted_by=project.created_by, reason="First.", override=True
    )
    item = make_item(project, Kind.CONVERSATION)
    make_assignment(item, project.created_by)
    return []


def a_battle_board(project: Project) -> list[Any]:
    make_checkpoint(project)
    return []


def an_endpoint(project: Project) -> list[Any]:
    owner = project.created_by
    entered = services.Server(settings.LLAMA_URL, "llama-9", 5)
    endpoint = services.add_endpoint(project, "llama", entered, key="", created_by=owner)
    services.try_endpoint(endpoint)
    return [endpoint.pk]


def a_round(project: Project) -> list[Any]:
    for number, split in enumerate(["train"] * 12 + ["validation"] * 3 + ["test"] * 15):
        make_prompt(project, text=f"Write a haiku about thing {number}.", split=split)
    owner = project.created_by
    policy = make_checkpoint(project)
    services.promote_checkpoint(policy, promoted_by=owner, reason="First.", override=True)
    services.run_round(project, wanted_by=owner)
    return []


def an_answer(project: Project) -> list[Any]:
    make_comparison(make_item(project), project.created_by)
    return []


def a_careless_person(project: Project) -> list[Any]:
    people = User.objects.filter(username__in=["bob", "bea", "ben"]).order_by("username")
    bea, ben, bob = people
    make_careless(project, bob, bea, ben)
    Project.objects.filter(id=project.pk).update(flag_pause=Project.FlagPause.VERY_SURE)
    return []


def a_webhook(project: Project) -> Webhook:
    kinds = Webhook.Kind.values
    made = services.add_webhook(project, settings.LLAMA_URL, kinds, created_by=project.created_by)
    webhook: Webhook = made[0]
    return webhook


def a_message(project: Project) -> list[Any]:
    services.try_webhook(a_webhook(project))
    return []


def an_old_message(project: Project) -> list[Any]:
    services.try_webhook(a_webhook(project))
    ended = {"state": WebhookMessage.State.DELIVERED, "ended_at": Now() - timedelta(days=60)}
    WebhookMessage.objects.update(**ended)
    return []


def a_flag(project: Project) -> list[Any]:
    a_webhook(project)
    return a_careless_person(project)


def a_push(project: Project) -> list[Any]:
    (target,) = settings.PUSH_TARGETS
    owner = project.created_by
    push = services.push_checkpoint(make_checkpoint(project), f"{target}/model", started_by=owner)
    return [push.pk]


def a_push_without_a_hint(project: Project) -> list[Any]:
    a_push(project)
    return []


def a_base_of_a_hub(project: Project) -> list[Any]:
    fetch = fetches.Fetch("alice/haiku", "", "haiku", project.pk, project.created_by_id)
    fetches.ask(fetch)
    seal(make_base_folder(fetch.folder), {})  # it has come, and its worker was lost then
    return []


def some_open_items(project: Project) -> list[Any]:
    first, second = make_checkpoint(project), make_checkpoint(project)
    for number in range(20):
        prompt = make_prompt(project, f"Write about {number}.")
        shown = [make_completion(prompt, checkpoint=one) for one in (first, second)]
        make_item(project, prompt=prompt, completions=shown)
    return []


def a_case(project: Project) -> list[Any]:
    make_checkpoint(project, kind="reward", parent=make_checkpoint(project))
    case = write_case(Case("Rain.", "drip", "drop", "left"))
    annotation_services.publish_guideline(
        project, Kind.COMPARISON, f"# Be short\n\n{case}", project.created_by
    )
    return []


def a_file(project: Project) -> list[Any]:
    rows = [b'{"prompt": "A haiku", "left": "a", "right": "b", "winner": "left"}']
    brought = annotation_services.bring_file(project, "votes.jsonl", rows, project.created_by)
    annotation_services.start_import(brought)
    return [brought.pk]


def a_file_without_a_hint(project: Project) -> list[Any]:
    a_file(project)
    return []


def a_file_that_was_left_alone(project: Project) -> list[Any]:
    a_file(project)
    project.imports.update(state="shown", created_at="2020-01-01T00:00:00Z")
    return []


SCENES: list[tuple[str, Scene]] = [
    ("annotations.continue_import", a_file),
    ("annotations.continue_imports", a_file_without_a_hint),
    ("annotations.forget_imports", a_file_that_was_left_alone),
    ("annotations.analyse_what_grew", an_answer),
    ("annotations.keep_up_daily_figures", an_answer),
    ("annotations.keep_up_agreement", an_answer),
    ("training.execute_run", a_run),
    ("training.execute_run", a_run_that_answers),
    ("training.dispatch_queued_runs", a_run_without_a_hint),
    ("training.find_lost_runs", a_run_that_went_silent),
    ("training.answer_turns", a_turn),
    ("training.dispatch_waiting_turns", a_turn),
    ("training.keep_up_boards", a_battle_board),
    ("training.try_endpoint", an_endpoint),
    ("training.drive_rounds", a_round),
    ("training.weigh_questions", some_open_items),
    ("training.score_cases", a_case),
    ("training.pause_flagged", a_careless_person),
    ("training.deliver_webhooks", a_message),
    ("training.forget_webhook_messages", an_old_message),
    ("training.tell_of_flags", a_flag),
    ("training.push", a_push),
    ("training.dispatch_pushes", a_push_without_a_hint),
    ("training.fetch_bases", a_base_of_a_hub),
    ("training.dispatch_fetches", a_base_of_a_hub),
]
WRITE_NO_ROW = (
    "annotations.analyse_what_grew",
    "annotations.continue_imports",
    "annotations.keep_up_agreement",
    "training.dispatch_fetches",
    "training.dispatch_waiting_turns",
    "training.keep_up_boards",
)
"""They send messages, fill the cache, and tell PostgreSQL of its tables."""


SAYS_WHEN = {"annotations.DailyNews": ("read_at", "revision")}
"""Columns that say when, and how often, a task looked for something to do."""


def every_task() -> dict[str, Task]:
    current_app.loader.import_default_modules()
    return {
        name: task for name, task in current_app.tasks.items() if not name.startswith("celery.")
    }


def database() -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table of ours, without when a task looked at it."""
    models = [
        model
        for label in ("annotations", "training")
        for model in apps.get_app_config(label).get_models(include_auto_created=True)
    ]
    rows = {
        model._meta.label: list(model._base_manager.order_by("pk").values()) for model in models
    }
    for label, names in SAYS_WHEN.items():
        rows[label] = [{k: v for k, v in row.items() if k not in names} for row in rows[label]]
    return rows


@pytest.fixture
def around(project: Project, tmp_path: Path, request: Any, monkeypatch: Any) -> Iterator[Project]:
    """Return the project, with a broker, quick children and a server elsewhere."""
    settings = request.getfixturevalue("settings")
    monkeypatch.setattr(current_app.conf, "broker_url", "memory://")
    settings.TRAINING_COMMAND = scripted.command("works")
    settings.REPLIES_COMMAND = scripted_replies.command("answers")
    settings.VAR_DIR = tmp_path
    settings.BASE_MODEL_PATH = tmp_path / "models" / "first"
    settings.REPLIES_IDLE_SECONDS = 0.2
    settings.ALLOWED_PRIVATE_ENDPOINTS = settings.ALLOWED_PRIVATE_WEBHOOKS = ["127.0.0.1"]
    settings.PUSH_TARGETS = [str(tmp_path / "elsewhere")]
    monkeypatch.setattr(replies, "POLL_S", 0.05)
    monkeypatch.setattr(tasks, "_reply_hint_sent_at", float("-inf"))
    monkeypatch.setattr(board, "SLOW_FROM", 0)
    with serving() as server:
        settings.LLAMA_URL = server.url
        yield project


@pytest.mark.parametrize(("name", "scene"), SCENES, ids=[f"{n}-{s.__name__}" for n, s in SCENES])
def test_a_task_run_twice_leaves_the_same_database(
    around: Project, name: str, scene: Scene
) -> None:
    arguments = scene(around)
    task, before = every_task()[name], database()
    task(*arguments, something_new=1)
    once = database()
    task(*arguments)
    assert database() == once
    assert name in WRITE_NO_ROW or once != before, "there was nothing to do, so this shows nothing"


def test_every_task_is_tried_twice() -> None:
    assert {name for name, _ in SCENES} == set(every_task()), (
        "Give each task a scene here in which it has something to do."
    )


@pytest.mark.parametrize("name", sorted({name for name, _ in SCENES}))
def test_a_task_is_named_limited_and_given_numbers_alone(name: str) -> None:
    task = every_task()[name]
    assert task.name == name, "a name of its own, so that the module can be moved"
    assert task.soft_time_limit <= task.time_limit
    assert task.ignore_result, "pages read the database"
    *given, rest = inspect.signature(task.run).parameters.values()
    assert {parameter.annotation for parameter in given} <= {"int"}, "messages carry ids"
    assert rest.kind is inspect.Parameter.VAR_KEYWORD, "a newer sender may say more"


def test_no_limit_of_celery_reaches_a_run() -> None:
    assert tasks.execute_run.time_limit > outcomes.wall_clock_limit_s() > 0
    assert tasks.execute_run.soft_time_limit > outcomes.wall_clock_limit_s()
    assert tasks.execute_run.acks_late is False


def test_every_beat_names_a_task_that_is_there() -> None:
    assert {beat["task"] for beat in settings.CELERY_BEAT_SCHEDULE.values()} <= set(every_task())
