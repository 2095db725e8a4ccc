"""`python -m training.pipeline.serve`: a resident process that answers turns of conversations.

Standard input brings one `ReplyRequest` a line, standard output carries one event a line:

    {"event": "phase", "phase": "loading the model"}
    {"event": "progress", "request": "7", "percent": 40}
    {"event": "replies", "request": "7", "replies": [{"text": …, "sampling": {…}}, …]}
    {"event": "refused", "request": "7", "message": "This conversation is too long …"}
    {"event": "failed", "request": "7", "message": …}

*Refused* is a conversation that no model of this base can answer, in words for the person who
wrote it; *failed* is what an engineer has to mend. Either concerns its request alone: the process
lives on until standard input ends.

All requests that wait are answered together, as one batch where they want the same policy and the
same settings. A reply depends on its seed alone, not on what else is in its batch. One base model
stays in memory, with the adapters that were used last.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from training.pipeline.config import ReplyRequest
from training.pipeline.errors import PipelineError
from training.pipeline.events import Report, beating, events_to_stdout

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from training.pipeline.residents import ResidentModels
    from training.pipeline.rollouts import Drawing

MOST_AT_ONCE = 16
"""Requests in one batch; what comes beyond them waits for the next."""
PROGRESS_EVERY_S = 0.5
LEAST_ROOM = 16
"""Tokens that must be left for a reply; with fewer it would break off in its first line."""


class Refusal(PipelineError):
    """The conversation can't be answered; the message tells the person who wrote it what to do."""


def main() -> int:
    """Answer requests until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the process that started it decides
    # Read when torch is loaded. Threads that spin while they wait for each other take minutes for
    # a reply beside a run that uses the same cores (docs/log.md).
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    report = events_to_stdout()
    report({"event": "phase", "phase": "starting"})
    with beating(report):
        waiting = _reading(report)
        from training.pipeline.residents import ResidentModels

        models = ResidentModels()
        report({"event": "phase", "phase": "ready"})
        while (first := waiting.get()) is not None:
            answer([first, *_more(waiting)], models, report)
    return 0


def _reading(report: Report) -> queue.SimpleQueue[ReplyRequest | None]:
    """Return the queue to which a thread adds what standard input brings; None is its end."""
    waiting: queue.SimpleQueue[ReplyRequest | None] = queue.SimpleQueue()

    def read() -> None:
        try:
            for line in sys.stdin.buffer:
                if request := _parse(line, report):
                    waiting.put(request)
        finally:
            waiting.put(None)

    threading.Thread(target=read, daemon=True).start()
    return waiting


def _more(waiting: queue.SimpleQueue[ReplyRequest | None]) -> Iterator[ReplyRequest]:
    """Yield what waits besides the first, without waiting for it."""
    for _ in range(MOST_AT_ONCE - 1):
        try:
            request = waiting.get_nowait()
        except queue.Empty:
            return
        if request is None:
            waiting.put(None)  # for the loop that ends by it
            return
        yield request


def _parse(line: bytes, report: Report) -> ReplyRequest | None:
    """Return the request in a line; say so where there is none."""
    values: Any = None
    try:
        values = json.loads(line)
        if not isinstance(values, dict) or not isinstance(values.get("id"), str):
            raise PipelineError("A request is a JSON object with an id.")
        return ReplyRequest.from_dict(values)
    except (PipelineError, ValueError, RecursionError) as error:
        name = values.get("id") if isinstance(values, dict) else None
        _failed(report, name if isinstance(name, str) else "", str(error))
        return None


def answer(requests: list[ReplyRequest], models: ResidentModels, report: Report) -> None:
    """Answer requests, those of one policy and one setting together."""
    groups: dict[tuple[str | float, ...], list[_Encoded]] = {}
    for request in requests:
        if encoded := _encoded(request, models, report):
            groups.setdefault(encoded.group(), []).append(encoded)
    for group in groups.values():
        _answer_group(group, models, report)


@dataclass(frozen=True)
class _Encoded:
    """A request whose conversation fits into the model's context."""

    request: ReplyRequest
    ids: list[int]
    max_new_tokens: int

    def group(self) -> tuple[str | float, ...]:
        """Return what requests of one batch have in common."""
        r = self.request
        adapter, replies = r.adapter_path or "", len(r.seeds)
        return r.base_path, adapter, r.temperature, r.top_p, self.max_new_tokens, replies


def _encoded(request: ReplyRequest, models: ResidentModels, report: Report) -> _Encoded | None:
    try:
        loaded = models.base(request.base_path, report)
        ids = _conversation_ids(loaded.tokenizer, request.messages)
        room = loaded.context - len(ids)
        if room < min(LEAST_ROOM, request.max_new_tokens):
            raise Refusal(
                f"This conversation has become too long: it has {len(ids)} tokens, and the model "
                f"reads {loaded.context} at most, its reply included. End the conversation here "
                "and start a new one."
            )
        return _Encoded(request, ids, min(room, request.max_new_tokens))
    except Refusal as error:
        report({"event": "refused", "request": request.id, "message": str(error)})
    except Exception as error:  # the next request may well be answered
        _failed(report, request.id, _words(error))
    return None


def _conversation_ids(
    tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]]
) -> list[int]:
    from jinja2 import TemplateError

    from training.pipeline.data import encode_prompt

    try:
        return encode_prompt(tokenizer, messages)
    except TemplateError as error:
        raise Refusal(
            f"The model does not take a conversation of this form ({error}). End the conversation "
            "here and start a new one."
        ) from None


def _answer_group(group: list[_Encoded], models: ResidentModels, report: Report) -> None:
    """Answer requests as one batch; where that fails, each alone, so that it fails for one."""
    try:
        _write_replies(group, models, report)
        return
    except PipelineError as error:  # the policy can't be loaded: that holds for all of them
        for encoded in group:
            _failed(report, encoded.request.id, str(error))
        return
    except Exception as error:  # the next request may well be answered
        if len(group) == 1:
            _failed(report, group[0].request.id, _words(error))
        else:
            traceback.print_exc()
    models.release_memory()  # not before: the exception held the tensors of the batch
    if len(group) > 1:
        for encoded in group:
            _answer_group([encoded], models, report)


def _write_replies(group: list[_Encoded], models: ResidentModels, report: Report) -> None:
    """Sample the replies of a batch; report each request when its last reply has ended."""
    import torch

    from training.pipeline.rollouts import draw

    first = group[0].request
    repeat = len(first.seeds)
    generators = [torch.Generator().manual_seed(s) for e in group for s in e.request.seeds]
    answered: set[int] = set()
    reported_at = time.monotonic()
    with models.policy(first.base_path, first.adapter_path, report) as (model, tokenizer):
        for drawing in draw(
            model,
            [encoded.ids for encoded in group],
            tokenizer,
            max_new_tokens=group[0].max_new_tokens,
            uniforms=lambda _: torch.cat([torch.rand(1, generator=g) for g in generators]),
            repeat=repeat,
            temperature=first.temperature,
            top_p=first.top_p,
        ):
            for number in _complete(drawing, repeat) - answered:
                answered.add(number)
                _tell_replies(group[number], drawing, number * repeat, tokenizer, report)
            if time.monotonic() - reported_at >= PROGRESS_EVERY_S:
                reported_at = time.monotonic()
                percent = 100 * drawing.written // group[0].max_new_tokens
                for number in set(range(len(group))) - answered:
                    name = group[number].request.id
                    report({"event": "progress", "request": name, "percent": percent})


def _complete(drawing: Drawing, repeat: int) -> set[int]:
    """Return the numbers of the requests all of whose replies are written."""
    if drawing.written == drawing.tokens.shape[1]:
        return set(range(len(drawing.tokens) // repeat))
    return set(drawing.ended.view(-1, repeat).all(dim=1).nonzero().flatten().tolist())


def _tell_replies(
    encoded: _Encoded,
    drawing: Drawing,
    first_row: int,
    tokenizer: PreTrainedTokenizerBase,
    report: Report,
) -> None:
    from training.pipeline.data import decode

    request = encoded.request
    replies = []
    for row, seed in enumerate(request.seeds, first_row):
        tokens: torch.Tensor = drawing.tokens[row, : int(drawing.lengths[row])]
        sampling = {
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_new_tokens": encoded.max_new_tokens,
            "seed": seed,
            "tokens": len(tokens),
            "ended": bool(drawing.ended[row]),
        }
        replies.append({"text": decode(tokenizer, tokens.tolist()), "sampling": sampling})
    report({"event": "replies", "request": request.id, "replies": replies})


def _words(error: Exception) -> str:
    if isinstance(error, PipelineError):
        return str(error)
    if "out of memory" in str(error).lower():
        return (
            "The device ran out of memory. End what else uses it, or shorten what is written at "
            "once."
        )
    return f"{type(error).__name__}: {error}"


def _failed(report: Report, request: str, message: str) -> None:
    """Say that an engineer has something to mend; call it while the exception is handled."""
    traceback.print_exc()  # to the log
    report({"event": "failed", "request": request, "message": message})


if __name__ == "__main__":
    sys.exit(main())
