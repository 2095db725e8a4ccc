"""Try a server elsewhere: one short message, and what came back in words."""

from __future__ import annotations

import dataclasses
import time

from training import artifacts, lifecycle
from training.models import Endpoint
from training.pipeline.endpoint import EndpointError, ask
from training.pipeline.errors import PipelineError

SECONDS = 20.0
"""The worker that tries also looks after queued runs, so it does not wait for long."""
MESSAGE = "Say hello in one short sentence."
SAMPLING = {"temperature": 0.7, "max_tokens": 64}
LONGEST_TEXT = 2_000


def try_out(endpoint_id: int) -> None:
    """Ask a server that waits to be tried, and write down how it went. Twice does no harm."""
    asked = Endpoint.objects.filter(id=endpoint_id, try_state=Endpoint.Try.ASKED)
    endpoint = asked.select_related("checkpoint").first()
    if endpoint is None:
        return
    source = artifacts.external_source(endpoint.checkpoint)
    assert source is not None  # an endpoint's checkpoint is external
    source = dataclasses.replace(source, timeout_s=min(source.timeout_s, SECONDS))
    began = time.monotonic()
    try:
        key = artifacts.key_of(endpoint)
        answer = ask(source, key, [{"role": "user", "content": MESSAGE}], SAMPLING)
        took = time.monotonic() - began
        state = Endpoint.Try.ANSWERED
        text = f"{answer.model} answered in {took:.1f} s: {answer.text[:LONGEST_TEXT]}"
    except (EndpointError, PipelineError) as error:
        state, text = Endpoint.Try.FAILED, str(error)
    asked.update(try_state=state, try_text=lifecycle.clean(text))
