"""The API does what its document says, whatever is sent: no 500, nothing that is not written."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig

from annotations import services
from annotations.models import Project, Scope, User
from labelstudio_llm.wsgi import application
from tests.security.world import COMPARISON, World, make_world

CONFIG = SchemathesisConfig(
    projects=ProjectsConfig(
        default=ProjectConfig(
            # NUL is refused in every text, which JSON schemas of plain texts cannot say.
            generation=GenerationConfig(allow_x00=False, with_security_parameters=False)
        )
    )
)
OWN = {"assignments": "bob", "notes": "bob", "battles": "eve", "chats": "eve", "replies": "eve"}
"""Who asks about what is nobody else's to see, by how its address begins; else alice asks."""
EXAMPLES = 15
"""How many requests each operation gets; they are others each time."""


@pytest.fixture
def world(project: Project, alice: User, bob: User, eve: User) -> World:
    return make_world(project, labeller=bob, owner=alice, engineer=eve)


@pytest.fixture
def authorizations(
    world: World, alice: User, bob: User, eve: User, settings: Any
) -> Iterator[Mapping[str, str]]:
    """Yield what lets people in, by their names."""
    settings.API_REQUESTS_PER_MINUTE = 1_000_000
    scopes = [scope.value for scope in Scope]
    secrets = {}
    for person in (alice, bob, eve):
        _, secrets[person.username] = services.make_api_token(
            person, name="x", projects=[world.project], scopes=scopes, days=1
        )
    logging.disable(logging.ERROR)
    # As Django's own client does: the connection of a test outlives its requests.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield {name: f"Bearer {secret}" for name, secret in secrets.items()}
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)
    logging.disable(logging.NOTSET)


def sayable(path: str, body: Any) -> Any:
    """Return a body that keeps what JSON schemas cannot say.

    A user speaks last in a prompt, and an answer is of the kind that the world's item takes.
    """
    if not isinstance(body, dict):
        return body
    prompts = body.get("prompts")
    for one in prompts if isinstance(prompts, list) else []:
        if isinstance(one["prompt"], list):
            one["prompt"][-1]["role"] = "user"
    if path.endswith("/submit") and body["answer"]["kind"] != COMPARISON:
        body["answer"] = {"kind": COMPARISON, "choice": "tie"}
    return body


@pytest.mark.long
def test_it_answers_every_request_as_its_document_says(
    world: World, authorizations: Mapping[str, str]
) -> None:
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", application, config=CONFIG)
    for found in schema.get_all_operations():
        operation = found.ok()
        person = OWN.get(operation.path.split("/")[1], "alice")
        name = f"api:{operation.definition.raw['operationId']}"
        known = world.parameters | world.of_address.get(name, {})
        ask_for(operation, known, {"Authorization": authorizations[person]})


def ask_for(operation: Any, known: Mapping[str, Any], headers: dict[str, str]) -> None:
    """Ask for one operation on what there is; each request finds the world as it was made."""

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        wanted = {name: known[name] for name in case.path_parameters if name in known}
        case.path_parameters.update(wanted)
        case.body = sayable(case.path, case.body)
        with transaction.atomic():
            case.call_and_validate(headers=headers)
            transaction.set_rollback(True)

    ask()
