"""An answer of an OpenAI-compatible server that is read while it is written.

It comes as server-sent events, one chunk a line after `data:`, until `[DONE]`. A server that knows
no streams answers as a whole, which is taken, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPResponse
from typing import Any

from training.pipeline.endpoint import (
    LONGEST_ANSWER,
    Answer,
    EndpointError,
    answer_of,
    asked,
    empty,
    excuse_of,
    json_of,
)
from training.pipeline.jobs import ExternalSource
from training.pipeline.outward import Line

LONGEST_LINE = 2**20
LONGEST_STREAM = 4 * LONGEST_ANSWER
"""Bytes: a chunk has some hundred around every token."""
LONGEST_TEXT = 100_000
"""Characters, several times what the most tokens make."""


def ask_streamed(
    source: ExternalSource,
    key: str,
    messages: list[dict[str, str]],
    sampling: dict[str, Any],
    line: Line,
) -> Iterator[str | Answer]:
    """Yield the pieces of the server's answer as they come, and last all of it.

    Raise EndpointError, with what happened. Whoever has the line may hang up at any time.
    """
    question = {"messages": messages, "stream": True, **sampling}
    with asked(source, key, question, line) as response:
        is_stream = response.headers.get_content_type() == "text/event-stream"
        if response.status == 200 and is_stream:
            stream = _Stream(source, key)
            yield from stream.pieces(response)
            answer = stream.answer()
        else:
            content = response.read(LONGEST_ANSWER + 1)
            answer = answer_of(source, response, content, key)
            yield answer.text
    yield answer


@dataclass
class _Stream:
    """What came so far."""

    source: ExternalSource
    key: str
    texts: list[str] = field(default_factory=list)
    size: int = 0
    """Bytes."""
    length: int = 0
    """Characters of its text."""
    finish_reason: str = ""
    model: str = ""
    tokens: int | None = None
    is_done: bool = False

    def pieces(self, response: HTTPResponse) -> Iterator[str]:
        while not self.is_done and (line := response.readline(LONGEST_LINE + 1)):
            self.size += len(line)
            if len(line) > LONGEST_LINE or self.size > LONGEST_STREAM:
                raise self._too_much()
            name, _, data = line.partition(b":")
            if name == b"data" and (text := self._take_in(data.strip())):
                self.texts.append(text)
                self.length += len(text)
                if self.length > LONGEST_TEXT:
                    raise self._too_much()
                yield text

    def answer(self) -> Answer:
        """Return all of it. Raise where the end is missing."""
        if not self.is_done and not self.finish_reason:
            raise EndpointError(
                f"{self.source.name} closed the connection in the middle of its answer. Ask again.",
                retry=True,
            )
        text = "".join(self.texts)
        if not text.strip():
            raise empty(self.source)
        model = self.model or self.source.model
        return Answer(text, self.finish_reason[:20] or "stop", model[:200], self.tokens)

    def _take_in(self, data: bytes) -> str:
        """Return the text of a chunk, and keep what it says beside it."""
        if data == b"[DONE]":
            self.is_done = True
            return ""
        values = json_of(data)
        if not isinstance(values, dict):
            raise self._not_understood()
        if values.get("error"):
            raise EndpointError(
                f"{self.source.name} gave up in the middle of its answer"
                f"{excuse_of(values, self.key)}. Ask again.",
                retry=True,
            )
        try:
            self._note_usage(values.get("usage") or {})
            self.model = str(values.get("model") or self.model)
            choice: Any = next(iter(values.get("choices") or []), {})
            self.finish_reason = str(choice.get("finish_reason") or self.finish_reason)
            text = (choice.get("delta") or {}).get("content") or ""
        except (TypeError, AttributeError):
            raise self._not_understood() from None
        if not isinstance(text, str):
            raise self._not_understood()
        return text

    def _note_usage(self, usage: dict[str, Any]) -> None:
        """Keep the tokens where the server tells them; nobody asked, since some refuse that."""
        tokens = usage.get("completion_tokens")
        self.tokens = tokens if type(tokens) is int and tokens >= 0 else self.tokens

    def _not_understood(self) -> EndpointError:
        return EndpointError(
            f"{self.source.name} sent a stream that is not like OpenAI's. Check the address: it "
            "usually ends in /v1."
        )

    def _too_much(self) -> EndpointError:
        return EndpointError(
            f"{self.source.name} sent far more than it was asked for. That is no completion; check "
            "the address."
        )
