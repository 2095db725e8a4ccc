"""Servers elsewhere that answer a project's prompts. Their keys go in and never come out again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from annotations.api.operations import Answer, Body, Call, Operations, Scope
from annotations.api.pages import Page, Paged, page_of
from training import access, services
from training.models import Endpoint
from training.services.bases import LONGEST_NAME
from training.services.endpoints import LONGEST_KEY, LONGEST_MODEL, LONGEST_URL, MOST_SECONDS

operations = Operations("External endpoints", refusals=(services.ServiceError,))

Name = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME)]
Address = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_URL)]
Model = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_MODEL)]
Key = Annotated[str, StringConstraints(max_length=LONGEST_KEY)]
Seconds = Annotated[int, Field(ge=1, le=MOST_SECONDS)]


class EndpointOut(Answer):
    """An OpenAI-compatible server and the model that it is asked for."""

    id: int
    checkpoint: int = Field(description="What it answers is filed under this, of kind external.")
    name: str
    url: str
    model: str
    timeout_s: int
    has_key: bool
    try_state: Endpoint.Try = Field(description="Empty: it was never tried as it is now.")
    try_text: str = Field(description="What came back, or what went wrong.")
    tried_at: datetime | None
    created_at: datetime


class NewEndpoint(Body):
    """A server, and the name under which its completions are filed."""

    name: Name
    url: Address = Field(description="Up to where /chat/completions follows: https://host/v1.")
    model: Model = Field(description="As the server calls it.")
    key: Key = Field("", description="Kept encrypted; empty if the server asks for none.")
    timeout_s: Seconds = Field(60, description="For one answer.")


class ChangedEndpoint(Body):
    """What is to change; what is left out stays as it is. A kept key goes to no other host."""

    url: Address | None = None
    model: Model | None = None
    key: Key | None = Field(None, description="Empty: forget the one there is.")
    timeout_s: Seconds | None = None


@operations.get("projects/<int:project_id>/endpoints")
def list_endpoints(call: Call, project_id: int, query: Paged) -> Page[EndpointOut]:
    """List the servers elsewhere that answer a project's prompts. Owners and engineers can."""
    project = access.get_project_for(call.user, project_id)
    found = Endpoint.objects.filter(checkpoint__project=project).select_related("checkpoint")
    return page_of(found, query, _endpoint)


@operations.post("projects/<int:project_id>/endpoints", Scope.TRAIN, status=201)
def add_endpoint(call: Call, project_id: int, body: NewEndpoint) -> EndpointOut:
    """Add a server elsewhere as a source of completions."""
    project = access.get_project_for(call.user, project_id)
    server = services.Server(url=body.url, model=body.model, timeout_s=body.timeout_s)
    added = services.add_endpoint(project, body.name, server, key=body.key, created_by=call.user)
    return _endpoint(added)


@operations.get("endpoints/<int:endpoint_id>")
def get_endpoint(call: Call, endpoint_id: int) -> EndpointOut:
    """Show a server elsewhere, and what came back when it was tried."""
    return _endpoint(access.get_endpoint_for(call.user, endpoint_id))


@operations.patch("endpoints/<int:endpoint_id>", Scope.TRAIN)
def change_endpoint(call: Call, endpoint_id: int, body: ChangedEndpoint) -> EndpointOut:
    """Change where a server is, how it is asked, or its key."""
    endpoint = access.get_endpoint_for(call.user, endpoint_id)
    server = services.Server(
        url=body.url or endpoint.url,
        model=body.model or endpoint.model,
        timeout_s=body.timeout_s or endpoint.timeout_s,
    )
    services.change_endpoint(
        endpoint,
        server,
        key=body.key or "",
        forget_key=body.key == "",
        changed_by=call.user,
    )
    return _endpoint(access.get_endpoint_for(call.user, endpoint_id))


@operations.post("endpoints/<int:endpoint_id>/try", Scope.TRAIN)
def try_endpoint(call: Call, endpoint_id: int) -> EndpointOut:
    """Let a worker send a server one short message; ask for the endpoint until it was tried."""
    services.try_endpoint(access.get_endpoint_for(call.user, endpoint_id))
    return _endpoint(access.get_endpoint_for(call.user, endpoint_id))


def _endpoint(endpoint: Endpoint) -> EndpointOut:
    return EndpointOut(
        id=endpoint.pk,
        checkpoint=endpoint.checkpoint_id,
        name=endpoint.checkpoint.name,
        url=endpoint.url,
        model=endpoint.model,
        timeout_s=endpoint.timeout_s,
        has_key=bool(endpoint.encrypted_key),
        try_state=Endpoint.Try(endpoint.try_state),
        try_text=endpoint.try_text,
        tried_at=endpoint.tried_at,
        created_at=endpoint.created_at,
    )
