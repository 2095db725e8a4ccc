"""The API does what its document says, whatever is sent: no 500, nothing that is not written."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig

from annotations import services
from annotations.models import Project, Scope, User
from labelstudio_llm.wsgi import application
from tests.security.world import World, make_world

CONFIG = SchemathesisConfig(
    projects=ProjectsConfig(
        default=ProjectConfig(
            # NUL is refused in every text, which JSON schemas of plain texts cannot say.
            generation=GenerationConfig(allow_x00=False, with_security_parameters=False)
        )
    )
)


@pytest.fixture
def world(project: Project, alice: User, bob: User, eve: User) -> World:
    return make_world(project, labeller=bob, owner=alice, engineer=eve)


@pytest.fixture
def authorization(world: World, alice: User, settings: Any) -> Iterator[str]:
    settings.API_REQUESTS_PER_MINUTE = 1_000_000
    scopes = [scope.value for scope in Scope]
    _, secret = services.make_api_token(
        alice, name="x", projects=[world.project], scopes=scopes, days=1
    )
    logging.disable(logging.ERROR)
    # As Django's own client does: the connection of a test outlives its requests.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield f"Bearer {secret}"
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)
    logging.disable(logging.NOTSET)


def sayable(body: Any) -> Any:
    """Return a body that keeps what JSON schemas cannot say: a user speaks last in a prompt."""
    prompts = body.get("prompts") if isinstance(body, dict) else None
    for one in prompts if isinstance(prompts, list) else []:
        if isinstance(one["prompt"], list):
            one["prompt"][-1]["role"] = "user"
    return body


@pytest.mark.parametrize(
    ("step", "examples"), [(9, 1), pytest.param(1, 15, marks=pytest.mark.long, id="all")]
)
@pytest.mark.long
def test_it_answers_every_request_as_its_document_says(
    world: World, authorization: str, step: int, examples: int
) -> None:
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", application, config=CONFIG)
    for found in list(schema.get_all_operations())[::step]:
        operation = found.ok()
        strategy = operation.as_strategy()

        @given(case=strategy)
        @settings(
            max_examples=examples,
            database=None,
            derandomize=examples == 1,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Any) -> None:
            known = world.parameters.items()
            wanted = {name: value for name, value in known if name in case.path_parameters}
            case.path_parameters.update(wanted)
            case.body = sayable(case.body)
            case.call_and_validate(headers={"Authorization": authorization})

        ask()
