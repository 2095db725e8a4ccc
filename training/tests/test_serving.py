"""Programs talk with the models as with OpenAI's, by the official client and by plain HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import openai
import pytest
from django.test import Client
from django.utils import timezone

from annotations.models import ApiToken, Membership, Project, Role, User
from training import replies, services, streaming, streams
from training.chat_requests import BadRequest, read_chat_request
from training.models import Checkpoint, Promotion
from training.tests import brokers, scripted_replies
from training.tests.factories import make_checkpoint

FOR_EVER = scripted_replies.FOR_EVER
ASKED = {"model": "haiku", "messages": [{"role": "user", "content": "an old pond"}]}


@pytest.fixture(scope="module")
def broker_url() -> Iterator[str]:
    with brokers.running() as url:
        yield url


@pytest.fixture(autouse=True)
def service(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broker_url: str
) -> Iterator[None]:
    settings.VAR_DIR = tmp_path
    settings.REPLIES_IDLE_SECONDS = 20
    settings.REPLIES_COMMAND = scripted_replies.command("streams")
    settings.CELERY_BROKER_URL = broker_url
    monkeypatch.setattr(replies, "LISTEN_S", 0.01)
    monkeypatch.setattr(streaming.tasks, "hint_replies", lambda: None)
    yield
    streams._client(broker_url).flushall()


@pytest.fixture
def policy(project: Project, alice: User) -> Checkpoint:
    checkpoint = make_checkpoint(project, name="ppo-7")
    Promotion.objects.create(project=project, checkpoint=checkpoint, promoted_by=alice)
    return checkpoint


def make_token(user: User, *projects: Project) -> str:
    return services.create_api_token(user, name="a program", projects=projects, days=7)[1]


@pytest.fixture
def secret(project: Project, eve: User, policy: Checkpoint) -> str:
    return make_token(eve, project)


@pytest.fixture
def client_of(live_server: Any) -> Iterator[Callable[[str], openai.OpenAI]]:
    """Return what makes an official client with a token; its connections end with the test."""
    with ExitStack() as stack:
        address = f"{live_server.url}/v1"
        yield lambda secret: stack.enter_context(
            openai.OpenAI(base_url=address, api_key=secret, max_retries=0)
        )


def post(secret: str, body: Any, path: str = "/v1/chat/completions", **headers: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {secret}", **headers}
    return Client().post(path, content, content_type="application/json", headers=headers)


def get(secret: str, path: str) -> Any:
    return Client().get(path, headers={"Authorization": f"Bearer {secret}"})


def error_of(response: Any) -> dict[str, Any]:
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"].endswith(".")
    return dict(error)


# The official client ------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_official_client_works(
    client_of: Callable[[str], openai.OpenAI], secret: str, policy: Checkpoint
) -> None:
    client = client_of(secret)
    assert [model.id for model in client.models.list()][:2] == ["haiku", "haiku/ppo-7"]
    assert client.models.retrieve("haiku/ppo-7").id == "haiku/ppo-7"
    messages: Any = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "an old pond"}]},
    ]
    answer = f"an old pond ({Path(policy.path).name})"
    with brokers.serving():
        whole = client.chat.completions.create(
            model="haiku", messages=messages, n=2, seed=4, temperature=0, user="me"
        )
        assert [choice.message.content for choice in whole.choices] == [answer] * 2
        assert whole.choices[0].finish_reason == "stop"
        assert whole.usage
        assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (2, 6)

        chunks = list(
            client.chat.completions.create(
                model="haiku/ppo-7",
                messages=messages,
                n=2,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        for number in range(2):
            choices = [c for chunk in chunks for c in chunk.choices if c.index == number]
            assert "".join(c.delta.content or "" for c in choices) == answer
            assert choices[0].delta.role == "assistant"
            assert choices[-1].finish_reason == "stop"
        assert chunks[-1].usage
        assert chunks[-1].usage.total_tokens == 8

        with pytest.raises(openai.BadRequestError, match="Shorten"):
            client.chat.completions.create(
                model="haiku", messages=[{"role": "user", "content": "much too long"}], stream=True
            )
    with pytest.raises(openai.NotFoundError, match="no model"):
        client.chat.completions.create(model="gpt-4o", messages=messages)
    with pytest.raises(openai.AuthenticationError, match="not known"):
        client_of("lsl-wrong").models.list()


@pytest.mark.django_db(transaction=True)
def test_a_client_that_leaves_stops_its_stream_and_no_page_waits(
    client_of: Callable[[str], openai.OpenAI], secret: str
) -> None:
    client = client_of(secret)
    with brokers.serving():
        stream = client.chat.completions.create(
            model="haiku", messages=[{"role": "user", "content": "x"}], seed=FOR_EVER, stream=True
        )
        for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        assert client.models.list().data
        stream.close()
        log = replies.service_folder() / "log.txt"
        waits = threading.Event()
        for _ in range(100):
            if "ended in" in log.read_text():
                break
            waits.wait(0.05)
        assert "ended in" in log.read_text()


@pytest.mark.django_db(transaction=True)
def test_what_fails_later_is_told_within_the_stream(
    client_of: Callable[[str], openai.OpenAI], secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.views.serving.OUTCOME_S", 0)
    client = client_of(secret)
    stream = client.chat.completions.create(
        model="haiku", messages=[{"role": "user", "content": "poison"}], stream=True
    )
    with brokers.serving(), pytest.raises(openai.APIError, match="too little memory"):
        list(stream)


# By hand ------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_stream_is_server_sent_events_that_end_with_done(secret: str) -> None:
    with brokers.serving():
        response = post(secret, {**ASKED, "stream": True})
        assert response["Content-Type"].startswith("text/event-stream")
        lines = b"".join(response.streaming_content).decode().split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    first = json.loads(lines[0].removeprefix("data: "))
    assert first["object"] == "chat.completion.chunk"
    assert "usage" not in first


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"temperature": -1}, "temperature"),
        ({"temperature": 99}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"n": 9}, "n"),
        ({"n": 1.5}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": 5}, "stop"),
        ({"seed": "x"}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "include_usage"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": ["hello"]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content",
        ),
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as raised:
        read_chat_request(json.dumps({**ASKED, **changes}).encode())
    assert raised.value.param == param
    assert str(raised.value).endswith(".")


@pytest.mark.parametrize(
    "changes",
    [
        {"frequency_penalty": 0, "presence_penalty": None, "user": "me", "something": [1]},
        {"temperature": None, "n": None, "stop": None, "seed": -1, "stream": False},
        {"messages": [{"role": "developer", "content": "a\0b", "name": "x"}]},
    ],
)
def test_what_means_nothing_is_ignored(changes: dict[str, Any]) -> None:
    request = read_chat_request(json.dumps({**ASKED, **changes}).encode())
    assert (request.temperature, request.choices, request.stop) == (1.0, 1, ())
    assert {message["role"] for message in request.messages} <= {"system", "user"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"model": "haiku", "temperature": NaN}',
        b'{"model": "haiku", "temperature": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_body_that_is_no_request_is_refused(secret: str, body: bytes) -> None:
    response = post(secret, body)
    assert response.status_code == 400
    assert error_of(response)["type"] == "invalid_request_error"


@pytest.mark.django_db
@pytest.mark.parametrize("megabytes", [5, 13])
def test_so_many_megabytes_are_too_many(secret: str, megabytes: int) -> None:
    response = post(secret, {**ASKED, "user": "x" * megabytes * 1_000_000})
    assert response.status_code == 413
    assert error_of(response)["code"] == "request_too_large"


@pytest.mark.django_db
def test_only_a_token_in_force_lets_in(
    secret: str, project: Project, eve: User, charlie: User, client: Client
) -> None:
    client.force_login(eve)
    for response in (client.get("/v1/models"), get("", "/v1/models"), get("x\xe9", "/v1/models")):
        assert response.status_code == 401
        assert response["WWW-Authenticate"] == "Bearer"
        assert error_of(response)["code"] == "invalid_api_key"
    token = ApiToken.objects.get()
    assert token.last_used_at is None
    assert get(secret, "/v1/models").status_code == 200
    token.refresh_from_db()
    assert token.last_used_at is not None

    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert "expired" in error_of(get(secret, "/v1/models"))["message"]
    ApiToken.objects.update(expires_at=timezone.now() + timedelta(days=1))
    services.revoke_api_token(token)
    assert "revoked" in error_of(get(secret, "/v1/models"))["message"]
    ApiToken.objects.update(revoked_at=None)
    User.objects.filter(id=eve.pk).update(is_active=False)
    assert get(secret, "/v1/models").status_code == 401


@pytest.mark.django_db
def test_a_token_reaches_what_its_owner_may_reach_now(
    project: Project, policy: Checkpoint, eve: User, carol: User
) -> None:
    other = Project.objects.create(name="Limericks", created_by=eve)
    Membership.objects.create(project=other, user=eve, role=Role.OWNER)
    make_checkpoint(other, name="never chosen")
    base = policy.parent
    assert base
    reward = make_checkpoint(project, kind=Checkpoint.Kind.REWARD, name="reward-1")
    engineer, reviewer = make_token(eve, project), make_token(carol, project)

    def names(secret: str) -> set[str]:
        return {model["id"] for model in get(secret, "/v1/models").json()["data"]}

    assert {"haiku", "haiku/ppo-7", f"haiku/{base.name}"} <= names(engineer)
    assert f"haiku/{reward.name}" not in names(engineer)
    assert not any(name.startswith("limericks") for name in names(engineer))
    assert names(reviewer) == {"haiku"}
    response = post(reviewer, {**ASKED, "model": "haiku/ppo-7"})
    assert (response.status_code, error_of(response)["code"]) == (404, "model_not_found")
    assert get(reviewer, "/v1/models/haiku/ppo-7").status_code == 404

    Membership.objects.filter(user=carol).update(role=Role.ANNOTATOR)
    assert names(reviewer) == set()
    response = post(reviewer, ASKED)
    assert (response.status_code, error_of(response)["code"]) == (403, "insufficient_permissions")


@pytest.mark.django_db
def test_projects_of_one_name_are_told_apart(project: Project, alice: User) -> None:
    twin, nameless = (Project.objects.create(name=n, created_by=alice) for n in ("HAIKU!", "俳句"))
    for one in (project, twin, nameless):
        Membership.objects.get_or_create(project=one, user=alice, defaults={"role": Role.OWNER})
        Promotion.objects.create(
            project=one, checkpoint=make_checkpoint(one), promoted_by=alice, reason="first"
        )
    secret = make_token(alice, project, twin, nameless)
    names = {model["id"] for model in get(secret, "/v1/models").json()["data"]}
    assert {"haiku", f"haiku-{twin.pk}", f"project-{nameless.pk}"} <= names


@pytest.mark.django_db
def test_before_a_promotion_there_is_no_model(project: Project, carol: User) -> None:
    secret = make_token(carol, project)
    make_checkpoint(project)
    assert get(secret, "/v1/models").json()["data"] == []
    assert "promoted" in error_of(post(secret, ASKED))["message"]


@pytest.mark.django_db
def test_other_methods_and_addresses_are_answered_in_json(secret: str) -> None:
    assert get(secret, "/v1/chat/completions").status_code == 405
    response = post(secret, ASKED, "/v1/embeddings")
    assert response.status_code == 404
    assert "chat/completions" in error_of(response)["message"]


@pytest.mark.django_db
def test_of_a_hundred_streams_at_once_those_too_many_are_told_when_to_come_back(
    secret: str,
) -> None:
    for number in range(streaming.MOST_WAITING - 1):
        streams.put(f"waits-{number}", {})
    response = post(secret, {**ASKED, "n": 8})
    assert response.status_code == 429
    assert int(response["Retry-After"]) >= 10
    assert "Try again in" in error_of(response)["message"]
    assert streams.count_waiting() == streaming.MOST_WAITING - 1


@pytest.mark.django_db
@pytest.mark.parametrize("stream", [False, True])
def test_one_that_others_overtook_is_told_so_as_well(
    secret: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(*_: Any) -> None:
        monkeypatch.setattr(streaming, "_readers", streaming.MOST_READERS)

    monkeypatch.setattr(streaming, "_readers", 0)
    monkeypatch.setattr(streams, "put", overtaken)
    response = post(secret, {**ASKED, "stream": stream})
    assert response.status_code == 429
    assert f"Try again in {response['Retry-After']} second" in error_of(response)["message"]


@pytest.mark.django_db
def test_a_broker_that_is_away_is_said(secret: str, settings: Any) -> None:
    settings.CELERY_BROKER_URL = "redis+socket:///nowhere/valkey.sock"
    response = post(secret, ASKED)
    assert response.status_code == 503
    assert response["Retry-After"]
    assert "broker" in error_of(response)["message"]
