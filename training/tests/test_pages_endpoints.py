"""Servers elsewhere as sources of completions: entered, tried, asked, compared with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotations.models import Completion, Item, Project, User
from annotations.tests.factories import make_prompt
from training import artifacts, secrecy, services, tasks
from training.models import Checkpoint, Endpoint, Run
from training.pipeline.errors import PipelineError
from training.services import ServiceError
from training.tests.factories import make_base, make_checkpoint, make_run, make_snapshot
from training.tests.servers import ScriptedServer, echoes, sends, serving

KEY = "sk-very-secret"


@pytest.fixture
def server(settings: Any) -> Iterator[ScriptedServer]:
    settings.ALLOWED_PRIVATE_ENDPOINTS = ["127.0.0.1"]
    with serving() as running:
        yield running


@pytest.fixture
def engineer(client: Client, eve: User) -> Client:
    client.force_login(eve)
    return client


@pytest.fixture
def endpoint(project: Project, server: ScriptedServer, eve: User) -> Endpoint:
    entered = services.Server(server.url, "llama-9", 5)
    return services.add_endpoint(project, "llama", entered, key=KEY, created_by=eve)


def url(name: str, *args: int) -> str:
    return reverse(f"training:{name}", args=args)


def text_of(response: Any) -> str:
    return str(response.content.decode())


def fields(address: str, **changes: Any) -> dict[str, Any]:
    values = {"name": "llama", "url": address, "model": "llama-9", "timeout_s": 30}
    return {**values, "key": KEY, **changes}


def key_of(endpoint: Endpoint) -> str:
    endpoint.refresh_from_db()
    return artifacts.key_of(endpoint)


def test_it_keeps_the_key_and_shows_it_to_nobody(
    engineer: Client, project: Project, server: ScriptedServer
) -> None:
    address = url("add_endpoint", project.pk)
    response = engineer.post(address, fields(server.url + "/chat/completions"), follow=True)
    assert response.status_code == 200
    added = Endpoint.objects.get()
    assert added.url == server.url
    assert (added.checkpoint.kind, added.checkpoint.name) == ("external", "llama")
    assert KEY not in json.dumps(list(Endpoint.objects.values()), default=str)
    assert key_of(added) == KEY
    pages = [text_of(response), text_of(engineer.get(url("checkpoint", added.checkpoint_id)))]
    pages.append(text_of(engineer.get(url("checkpoints", project.pk))))
    refused = engineer.post(url("endpoint", added.pk), fields("ftp://host", key=KEY))
    assert refused.status_code == 422
    assert all(KEY not in page for page in [*pages, text_of(refused)])


def test_a_key_is_read_with_the_secret_of_this_installation_alone(settings: Any) -> None:
    kept = secrecy.encrypt(KEY)
    assert kept != secrecy.encrypt(KEY)
    assert secrecy.decrypt(kept) == KEY
    broken = [kept[:-3] + "AA=", kept[:10], "", "é", "A" + kept]
    for changed in broken:
        with pytest.raises(secrecy.SecretLost):
            secrecy.decrypt(changed)
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another-" * 10
    with pytest.raises(secrecy.SecretLost):
        secrecy.decrypt(kept)
    settings.SECRET_KEY_FALLBACKS = [old]
    assert secrecy.decrypt(kept) == KEY


def test_a_kept_key_never_goes_to_another_host(engineer: Client, endpoint: Endpoint) -> None:
    address = url("endpoint", endpoint.pk)
    elsewhere = fields("https://93.184.216.34/v1", key="")
    assert "The key was entered for another host" in text_of(engineer.post(address, elsewhere))
    assert key_of(endpoint) == KEY
    same_host = fields(endpoint.url, key="", model="llama-10")
    assert engineer.post(address, same_host).status_code == 302
    assert key_of(endpoint) == KEY
    assert engineer.post(address, {**elsewhere, "forget_key": "on"}).status_code == 302
    assert key_of(endpoint) == ""


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"url": "http://10.0.0.1/v1"}, "lies in a private network"),
        ({"url": "https://me:pw@host/v1"}, "may have no user"),
        ({"url": "http://93.184.216.34/v1"}, "readable to all"),
        ({"url": "x" * 600}, "at most 500"),
        ({"model": " "}, "required"),
        ({"name": "sft-1"}, "not like a run"),
        ({"name": "base"}, "There is a checkpoint called base already"),
        ({"key": "two words"}, "without spaces"),
        ({"key": "schlüssel"}, "without spaces"),
        ({"timeout_s": 0}, "greater than or equal to 1"),
        ({"model": "x\0y"}, "Null characters"),
    ],
)
def test_it_says_what_cannot_be_entered(
    engineer: Client, project: Project, change: dict[str, Any], sentence: str
) -> None:
    make_base(project)
    entered = fields("https://93.184.216.34/v1", **change)
    response = engineer.post(url("add_endpoint", project.pk), entered)
    assert response.status_code == 422
    assert sentence in text_of(response)
    assert not Endpoint.objects.exists()


def test_trying_it_shows_what_came_back(
    engineer: Client, endpoint: Endpoint, server: ScriptedServer
) -> None:
    engineer.post(url("try_endpoint", endpoint.pk))
    assert "Asking." in text_of(engineer.get(url("endpoint", endpoint.pk)))
    tasks.try_endpoint(endpoint.pk)
    tasks.try_endpoint(endpoint.pk)  # a message that is delivered twice
    assert len(server.asked) == 1
    assert server.asked[0]["headers"]["Authorization"] == f"Bearer {KEY}"
    assert "old pond" in text_of(engineer.get(url("try_status", endpoint.pk)))


def test_trying_it_shows_what_went_wrong(
    engineer: Client, endpoint: Endpoint, server: ScriptedServer
) -> None:
    server.script = [sends(200, "<script>alert(1)</script>", "text/html")]
    engineer.post(url("try_endpoint", endpoint.pk))
    tasks.try_endpoint(endpoint.pk)
    assert "sent text/html, which is no JSON" in text_of(engineer.get(url("endpoint", endpoint.pk)))


def test_a_key_that_can_be_read_no_more_is_told(
    engineer: Client, endpoint: Endpoint, settings: Any
) -> None:
    Endpoint.objects.update(encrypted_key="v1.AAAA")
    response = engineer.post(url("try_endpoint", endpoint.pk), follow=True)
    assert "SECRET_KEY has changed" in text_of(response)


def test_its_completions_become_work_and_are_told_from_others_by_its_name(
    engineer: Client, endpoint: Endpoint, server: ScriptedServer, project: Project
) -> None:
    """The child is a real one: it loads no model, so it is quick."""
    server.script = [echoes]
    for number in range(2):
        make_prompt(project, text=f"Stone {number}", split="train")
    asked = {"kind": "comparison", "prompt_count": 2, "splits": "train"}
    asked |= {"completions_per_prompt": 2, "temperature": 1, "top_p": 1, "max_new_tokens": 8}
    asked |= {"best_of": 1, "batch_size": 64, "seed": 0}
    address = url("request_completions", endpoint.checkpoint_id)
    assert engineer.post(address, asked).status_code == 302
    run = Run.objects.get()
    tasks.execute_run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.error) == ("succeeded", "")
    assert Item.objects.filter(batch=f"run-{run.pk}", kind="comparison").count() == 2
    found = Completion.objects.filter(checkpoint=endpoint.checkpoint)
    assert (found.count(), found[0].source_name, found[0].origin) == (4, "llama", "checkpoint")
    assert found[0].sampling["model"] == "llama-9"
    assert {one["headers"]["Authorization"] for one in server.asked} == {f"Bearer {KEY}"}
    files = [p for p in Path(artifacts.work_folder(run)).rglob("*") if p.is_file()]
    assert all(KEY.encode() not in path.read_bytes() for path in files)
    assert KEY not in text_of(engineer.get(url("export_job", run.pk)))
    assert engineer.get(url("run", run.pk)).status_code == 200


def test_an_evaluation_against_it_asks_the_child_and_the_server(
    project: Project, endpoint: Endpoint, eve: User
) -> None:
    child = make_checkpoint(project)
    make_prompt(project, text="Stone", split="test")
    evaluation = services.start_evaluation(
        project, child=child, parent=endpoint.checkpoint, started_by=eve
    )
    job = artifacts.job_for(evaluation.run)
    assert job.rival
    assert job.rival_external is not None
    assert (job.rival_external.url, job.rival_external.model) == (endpoint.url, "llama-9")
    assert (job.external, job.rival_path, job.rival_base_path) == (None, None, None)
    assert artifacts.secrets_for(evaluation.run) == {"ENDPOINT_API_KEY": KEY}
    assert artifacts.secrets_for(make_run(project)) == {}


def test_nothing_that_needs_weights_takes_it(
    project: Project, endpoint: Endpoint, eve: User, alice: User
) -> None:
    external, policy = endpoint.checkpoint, make_checkpoint(project)
    prompt = make_prompt(project, text="Stone", split="test")
    snapshot = make_snapshot(project)
    refused = [
        lambda: services.promote_checkpoint(external, promoted_by=alice, reason="x", override=True),
        lambda: services.start_run(
            project, "sft", {}, parent=external, snapshot=snapshot, started_by=eve
        ),
        lambda: services.request_export(external, started_by=eve),
        lambda: services.start_evaluation(project, child=external, parent=policy, started_by=eve),
        lambda: services.request_completions(
            project,
            checkpoint=external,
            prompts=[prompt],
            completions_per_prompt=2,
            kind="comparison",
            started_by=eve,
            config={"best_of": 4},
        ),
    ]
    for act in refused:
        with pytest.raises(ServiceError, match="llama is an external endpoint"):
            act()


def test_a_run_says_that_its_key_is_lost(project: Project, endpoint: Endpoint) -> None:
    Endpoint.objects.update(encrypted_key="v1.AAAA")
    run = make_run(project, "sample", parent=endpoint.checkpoint)
    with pytest.raises(PipelineError, match="Enter it again"):
        artifacts.secrets_for(run)


def test_one_that_nothing_uses_goes_with_its_key(endpoint: Endpoint, alice: User) -> None:
    services.delete_checkpoint(endpoint.checkpoint, deleted_by=alice, reason="Too slow.")
    assert not Endpoint.objects.exists()


def test_the_pages_of_what_is_elsewhere_show_what_can_be_done_with_it(
    engineer: Client, endpoint: Endpoint
) -> None:
    page = text_of(engineer.get(url("checkpoint", endpoint.checkpoint_id)))
    assert "Ask for completions" in page
    assert url("endpoint", endpoint.pk) in page
    for missing in (
        'id="promote"',
        'id="evaluate"',
        "Merge and export",
        "Files</h2>",
        "Evaluation suite",
    ):
        assert missing not in page
    form = text_of(engineer.get(url("new_run", endpoint.checkpoint.project_id)))
    assert f'<option value="{endpoint.checkpoint_id}"' not in form


def test_engineers_and_owners_alone_see_endpoints(
    engineer: Client, endpoint: Endpoint, project: Project
) -> None:
    pages = [url("add_endpoint", project.pk), url("endpoint", endpoint.pk)]
    pages.append(url("try_status", endpoint.pk))
    acts = [*pages[:2], url("try_endpoint", endpoint.pk)]
    for name in ("bob", "carol", "charlie"):
        other = Client()
        other.force_login(User.objects.get(username=name))
        assert {other.get(page).status_code for page in pages} == {404}, name
        assert {other.post(act).status_code for act in acts} == {404}, name
    owner = Client()
    owner.force_login(User.objects.get(username="alice"))
    assert {owner.get(page).status_code for page in pages} == {200}
    assert engineer.get(acts[2]).status_code == 405
    assert engineer.post(pages[2]).status_code == 405
    assert Checkpoint.objects.filter(kind="external").count() == 1
