"""The client of the documentation does what its docstrings say, against this very site."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request

import pytest
from django.conf import settings
from django.test import Client as DjangoClient

from annotations import services
from annotations.models import Annotation, Import, Project, Scope, User
from annotations.tests.factories import make_item
from training import services as training_services
from training.models import Metric, Run
from training.tests import brokers, scripted_door
from training.tests.factories import make_checkpoint, make_run, make_snapshot, of_known_size
from training.tests.scripted_streaming import put_in_place

pytestmark = pytest.mark.django_db
FILE = settings.BASE_DIR / "docs" / "client" / "labelstudio_llm_client.py"


class Line:
    """The network, as far as this process: it may break once, before or after the site answered."""

    def __init__(self) -> None:
        self.breaks_after_answer = False
        self.error: Exception = URLError("the line broke")
        self.slept: list[float] = []

    def __call__(self, request: Request, timeout: float) -> Any:
        address = f"/{request.full_url.split('/', 3)[3]}"
        response = DjangoClient().generic(
            request.get_method(),
            address,
            request.data.read() if hasattr(request.data, "read") else request.data or b"",
            headers=dict(request.header_items()),
            content_type=request.get_header("Content-type"),
        )
        if self.breaks_after_answer:
            self.breaks_after_answer = False
            raise self.error
        if response.status_code >= 400:
            headers = Message()
            for name, value in response.items():
                headers[name] = value
            body = io.BytesIO(response.content)
            raise HTTPError(request.full_url, response.status_code, "", headers, body)
        return _opened(response.getvalue())


@contextmanager
def _opened(content: bytes) -> Iterator[io.BytesIO]:
    yield io.BytesIO(content)


@pytest.fixture
def module() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("labelstudio_llm_client", FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def line(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Line:
    line = Line()
    monkeypatch.setattr(module, "urlopen", line)
    monkeypatch.setattr(module.time, "sleep", line.slept.append)
    return line


def client_of(module: ModuleType, user: User, project: Project) -> Any:
    scopes = [scope.value for scope in Scope]
    _, secret = services.make_api_token(user, name="x", projects=[project], scopes=scopes, days=1)
    assert secret not in repr(module.Client("http://localhost", secret))
    return module.Client("http://localhost", secret)


def test_a_program_gets_prompts_in_and_annotations_out(
    module: ModuleType, line: Line, project: Project, alice: User, bob: User
) -> None:
    owner, labeller = (client_of(module, person, project) for person in (alice, bob))
    assert owner.add_prompts(project.pk, ["About rain.", {"prompt": "About snow.", "id": "s"}]) == 2
    assert [one["external_id"] for one in owner.prompts(project.pk)] == ["s", ""]
    (prompt,) = owner.prompts(project.pk, external_id="s")
    pair = [{"prompt": prompt["id"], "text": text} for text in ("white", "cold")]
    assert owner.add_completions(project.pk, "comparison", pair)["items"] == 1
    assignment = labeller.next(project.pk, "comparison")
    assert {one["text"] for one in assignment["completions"]} == {"white", "cold"}
    kept = labeller.submit(assignment, choice="left-better", reason="It is one line.")
    (said,) = owner.annotations(project.pk, kind="comparison", in_force=True)
    assert (said["id"], said["said"]["strength"]) == (kept, "better")
    other = labeller.next(project.pk)
    labeller.skip(other, "unsure")
    with pytest.raises(module.ApiError, match="There is no such project") as refused:
        list(labeller.pages("projects/999/assignments"))
    assert (refused.value.status, refused.value.kind) == (404, "not-found")


def test_an_export_is_a_file_in_full_or_none(
    module: ModuleType, line: Line, project: Project, eve: User, tmp_path: Path
) -> None:
    engineer = client_of(module, eve, project)
    engineer.add_prompts(project.pk, ["About rain.", "About snow."])
    line.breaks_after_answer = True
    path, wanted = f"projects/{project.pk}/export", {"content": "prompts", "format": "jsonl"}
    saved = engineer.download(path, tmp_path / "prompts.jsonl", **wanted)
    assert len(saved.read_text().splitlines()) == 2
    with pytest.raises(module.ApiError, match="not written as parquet"):
        engineer.download(path, tmp_path / "all", content="annotations", format="parquet")
    assert [file.name for file in tmp_path.iterdir()] == ["prompts.jsonl"]


def test_scores_are_sent_in_parts(
    module: ModuleType, line: Line, project: Project, eve: User
) -> None:
    completion = make_item(project).completions.first()
    assert completion is not None
    module.SCORES_AT_ONCE = 1
    scores = [{"completion": completion.pk, "scorer": name, "score": 1} for name in "ab"]
    assert client_of(module, eve, project).add_scores(project.pk, scores) == 2
    assert client_of(module, eve, project).add_scores(project.pk, scores) == 0


def test_a_program_waits_for_a_reply_by_asking_again(
    module: ModuleType, line: Line, project: Project, eve: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = put_in_place(monkeypatch)
    monkeypatch.setattr(training_services, "WAITED_FOR_S", 0)
    engineer = client_of(module, eve, project)
    body = {"text": "A frog?", "left": make_checkpoint(project).pk}
    begun = engineer.ask("POST", f"projects/{project.pk}/chats", body)
    door.script.insert(0, lambda: monkeypatch.setattr(training_services, "WAITED_FOR_S", 20))
    found = engineer.reply(begun["turns"][0]["replies"][0]["id"])
    assert (found["text"], len(line.slept), len(door.asked)) == ("old pond", 1, 1)


def test_a_program_has_a_battle_reads_the_board_and_takes_a_file_away(
    module: ModuleType,
    line: Line,
    project: Project,
    eve: User,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = scripted_door.install(monkeypatch)
    for name in ("granite", "basalt"):
        make_checkpoint(project, name=name)
    monkeypatch.setattr(training_services, "WAITED_FOR_S", 0)
    monkeypatch.setattr(
        module.time, "sleep", lambda _: monkeypatch.setattr(training_services, "WAITED_FOR_S", 20)
    )
    engineer = client_of(module, eve, project)
    battle = engineer.battle(project.pk, "A frog?")
    assert ({one["name"] for one in battle["answers"]}, len(door.begun)) == ({None}, 2)
    voted = engineer.vote(battle["id"], "left")
    assert len({one["name"] for one in voted["answers"]} - {None}) == 2
    assert engineer.leaderboard(project.pk, with_marked=True)["lines"][0]["wins"] == 1
    line.breaks_after_answer = True
    path = f"runs/{make_run(project).pk}/job.json"
    assert json.loads(engineer.download(path, tmp_path / "job.json").read_text())["config"]
    with pytest.raises(module.ApiError, match="no log yet"):
        engineer.download(path.replace("job.json", "log.txt"), tmp_path / "x")


def test_a_program_imports_a_file(
    module: ModuleType,
    line: Line,
    project: Project,
    alice: User,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "votes.jsonl"
    file.write_text('{"q": "Rain", "a": "x", "b": "y", "best": "1"}\n{"q": ""}\n')
    client = client_of(module, alice, project)
    line.breaks_after_answer = True

    def work(_: float) -> None:
        for waiting in Import.objects.filter(state=Import.State.CHECKING):
            services.run_import(waiting)

    monkeypatch.setattr(module.time, "sleep", work)
    columns = {"prompt": "q", "left": "a", "right": "b", "winner": "best"}
    refused = client.import_file(project.pk, file, columns=columns)
    assert (refused["state"], [one["line"] for one in refused["errors"]]) == ("refused", [2])
    done = client.import_file(project.pk, file, columns=columns, leave_out_bad=True)
    assert (done["state"], done["written"]["annotations"]) == ("done", 1)
    assert Import.objects.count() == 2  # the first was sent again, and once is enough


def no_gateway() -> HTTPError:
    """Return what a proxy answers while the site is started anew: it may name a date."""
    headers = Message()
    headers["Retry-After"] = "Wed, 21 Oct 2026 07:28:00 GMT"
    return HTTPError("http://localhost", 502, "Bad Gateway", headers, io.BytesIO(b"<html>"))


@pytest.mark.parametrize("error", [URLError("the line broke"), no_gateway()], ids=["line", "502"])
def test_what_was_sent_again_after_a_break_is_done_once(
    module: ModuleType, line: Line, project: Project, bob: User, error: Exception
) -> None:
    line.error = error
    make_item(project)
    client = client_of(module, bob, project)
    assignment = client.next(project.pk)
    line.breaks_after_answer = True
    kept = client.submit(assignment, choice="tie")
    assert Annotation.objects.get().pk == kept
    assert line.slept == [2.0]


def test_a_program_trains(module: ModuleType, line: Line, project: Project, eve: User) -> None:
    client = client_of(module, eve, project)
    run = client.start_run(
        project.pk, "sft", parent=of_known_size(project).pk, snapshot=make_snapshot(project).pk
    )
    client.ask("POST", f"runs/{run['id']}/cancel")
    assert client.wait_for(run["id"])["state"] == "cancelled"
    other = make_run(project)
    Metric.objects.create(run=other, step=3, name="loss", value=0.5)
    assert list(client.metrics(other.pk)) == [(3, {"loss": 0.5})]
    assert Run.objects.count() == 2


def test_a_token_is_held_to_its_limit_and_the_client_waits(
    module: ModuleType,
    line: Line,
    project: Project,
    bob: User,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("annotations.api.limits.time", lambda: 1_000_000.0)
    with brokers.running() as url:
        settings.CELERY_BROKER_URL = url
        settings.API_REQUESTS_PER_MINUTE = 2
        client = client_of(module, bob, project)
        secret = client.token
        response = DjangoClient().get("/api/v1/me", headers={"Authorization": f"Bearer {secret}"})
        assert response["RateLimit-Policy"] == '"minute";q=2;w=60'
        assert response["RateLimit"].startswith('"minute";r=1;t=')
        client.me()
        with pytest.raises(module.ApiError, match="2 requests a minute"):
            client.me()
        assert len(line.slept) == client.tries - 1
        assert all(1 <= seconds <= 60 for seconds in line.slept)
