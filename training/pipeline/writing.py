"""What the resident process writes, and in which order: turns of conversations, and streams.

Everything that is asked for joins the batch of its policy at the next token. Policies take turns,
a token each, on the one copy of the base that they share. Only what would not fit into memory
beside what is being written waits: another base, or more adapters than stay loaded.
"""

from __future__ import annotations

import time
import traceback
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from training.pipeline.batches import Batch, Row
from training.pipeline.data import decode, encode_prompt
from training.pipeline.errors import PipelineError
from training.pipeline.events import Report
from training.pipeline.jobs import ReplyRequest, StreamRequest
from training.pipeline.loading import head_of, trunk_of
from training.pipeline.residents import MOST_ADAPTERS, ResidentModels

MOST_ROWS = 32
"""Completions that are written side by side; what comes beyond them waits."""
READ_AT_ONCE = 1024
"""Tokens of prompts that are read before those who write already get their next token."""
PROGRESS_EVERY_S = 0.5
LEAST_ROOM = 16
"""Tokens that must be left for a completion; with fewer it would break off in its first line."""
HALF_A_CHARACTER = "\ufffd"
"""What a tokenizer makes of bytes that are no character yet."""

Policy = tuple[str, str | None]
"""The folders of a base and of an adapter on it."""


class Refusal(PipelineError):
    """The messages can't be answered; the message tells the person who wrote them what to do."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Work(ABC):
    """A request, and the rows that answer it."""

    request: ReplyRequest | StreamRequest
    too_long: str
    """What is said of messages that leave no room, with `{tokens}` and `{context}`."""
    wrong_form: str
    """What is said of messages that the chat template refuses, with `{error}`."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.alone = False
        """Something went wrong while it was written beside others."""

    @property
    def policy(self) -> Policy:
        return self.request.base_path, self.request.adapter_path

    @property
    def is_over(self) -> bool:
        return all(row.is_over for row in self.rows)

    def prepare(self, tokenizer: PreTrainedTokenizerBase, context: int) -> None:
        """Make the rows. Raise Refusal where the messages can't be answered."""
        if self.rows:  # it begins again, where it was
            return
        try:
            ids = encode_prompt(tokenizer, self.request.messages)
        except TemplateError as error:
            raise Refusal(self.wrong_form.format(error=error)) from None
        wanted, room = self.request.max_new_tokens, context - len(ids)
        if room < min(LEAST_ROOM, wanted):
            raise Refusal(
                self.too_long.format(tokens=len(ids), context=context), "context_length_exceeded"
            )
        r = self.request
        self.rows = [
            Row(ids, seed, r.temperature, r.top_p, min(room, wanted)) for seed in self.seeds()
        ]

    @abstractmethod
    def seeds(self) -> list[int]:
        """Return one seed for each row."""

    @abstractmethod
    def tell(self, tokenizer: PreTrainedTokenizerBase, report: Report) -> None:
        """Report what is new; called after every token, and once more when all is over."""


class Turn(Work):
    """A turn of a conversation: its replies are told together, when the last has ended."""

    too_long = (
        "This conversation has become too long: it has {tokens} tokens, and the model reads "
        "{context} at most, its reply included. End the conversation here and start a new one."
    )
    wrong_form = (
        "The model does not take a conversation of this form ({error}). End the conversation here "
        "and start a new one."
    )

    def __init__(self, request: ReplyRequest) -> None:
        super().__init__()
        self.request: ReplyRequest = request
        self.told_at = time.monotonic()

    def seeds(self) -> list[int]:
        return self.request.seeds

    def tell(self, tokenizer: PreTrainedTokenizerBase, report: Report) -> None:
        name = self.request.id
        if self.is_over:
            replies = [self._reply(row, tokenizer) for row in self.rows]
            report({"event": "replies", "request": name, "replies": replies})
        elif time.monotonic() - self.told_at >= PROGRESS_EVERY_S:
            self.told_at = time.monotonic()
            percent = max(100 * len(row.tokens) // row.max_new_tokens for row in self.rows)
            report({"event": "progress", "request": name, "percent": min(percent, 99)})

    def _reply(self, row: Row, tokenizer: PreTrainedTokenizerBase) -> dict[str, object]:
        sampling = {
            "temperature": row.temperature,
            "top_p": row.top_p,
            "max_new_tokens": row.max_new_tokens,
            "seed": row.seed,
            "tokens": len(row.tokens),
            "ended": row.has_ended,
        }
        return {"text": decode(tokenizer, row.tokens), "sampling": sampling}


class Stream(Work):
    """A completion whose text is told as it comes."""

    too_long = (
        "The messages have {tokens} tokens, and the model reads {context} at most, its answer "
        "included. Shorten them, or leave out the oldest."
    )
    wrong_form = (
        "The model does not take messages of this form ({error}). Change their roles or their "
        "order."
    )

    def __init__(self, request: StreamRequest) -> None:
        super().__init__()
        self.request: StreamRequest = request
        self.sent = ""
        self.reason = ""
        """Why it was stopped, if it was."""

    def seeds(self) -> list[int]:
        return [self.request.seed]

    def tell(self, tokenizer: PreTrainedTokenizerBase, report: Report) -> None:
        row, name = self.rows[0], self.request.id
        text: str = tokenizer.decode(row.tokens, skip_special_tokens=True)
        end = min((at for stop in self.request.stop if (at := text.find(stop)) >= 0), default=-1)
        if end >= 0:
            text, row.is_over, self.reason = text[:end], True, "stop"
        piece = self._new(text if row.is_over else without_beginnings(text, self.request.stop))
        if piece:
            report({"event": "text", "request": name, "text": piece})
        if row.is_over:
            self._tell_end(len(row.ids), len(row.tokens), report)

    def end(self, reason: str, report: Report) -> None:
        """Stop it: what it has by now is told at the next token, or now, if that is nothing."""
        self.reason = reason
        for row in self.rows:
            row.is_over = True
        if not self.rows:
            self._tell_end(0, 0, report)

    def _tell_end(self, read: int, written: int, report: Report) -> None:
        usage = {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        }
        has_ended = any(row.has_ended for row in self.rows)
        end = {
            "reason": self.reason or ("stop" if has_ended else "length"),
            "usage": usage,
            "seed": self.request.seed,
        }
        report({"event": "ended", "request": self.request.id, **end})

    def _new(self, text: str) -> str:
        """Return what of a text was not told yet, but for half characters and white space."""
        whole = text.rstrip(HALF_A_CHARACTER).strip()
        piece = whole[len(self.sent) :]
        self.sent = whole if piece else self.sent
        return piece


def without_beginnings(text: str, stops: list[str]) -> str:
    """Return a text without an end that may become one of the stops.

    >>> without_beginnings("a pond User", ["\\nUser", "User:"])
    'a pond '
    """
    for start in range(max(0, len(text) - max(map(len, stops), default=0)), len(text)):
        if any(stop.startswith(text[start:]) for stop in stops):
            return text[:start]
    return text


@dataclass(eq=False)
class _Group:
    """The requests of one policy that are written as one batch."""

    policy: Policy
    batch: Batch
    works: list[Work] = field(default_factory=list)


class Writer:
    """Everything that is being written, and what waits to be."""

    def __init__(self, models: ResidentModels, report: Report) -> None:
        self.models = models
        self.report = report
        self.waiting: deque[Work] = deque()
        self.groups: list[_Group] = []

    @property
    def is_busy(self) -> bool:
        return bool(self.waiting or self.groups)

    def add(self, request: ReplyRequest | StreamRequest) -> None:
        """Let a request join at the next token."""
        self.waiting.append(Turn(request) if isinstance(request, ReplyRequest) else Stream(request))

    def stop(self, name: str, reason: str) -> None:
        """End a stream with what it has by now."""
        works = [*self.waiting, *(work for group in self.groups for work in group.works)]
        for work in works:
            if isinstance(work, Stream) and work.request.id == name:
                if not work.rows:
                    self.waiting.remove(work)
                work.end(reason, self.report)

    def step(self) -> None:
        """Let join who may, and write one token of everything."""
        joining: dict[Policy, list[Work]] = {}
        for work in self._admitted():
            joining.setdefault(work.policy, []).append(work)
        for policy, works in joining.items():
            with self._recovering(policy, works):
                self._join(policy, works)
        for group in list(self.groups):
            if group in self.groups:  # not if another of its policy failed
                with self._recovering(group.policy, group.works):
                    self._write(group)
        self.groups = [group for group in self.groups if group.works]

    def _admitted(self) -> Iterator[Work]:
        """Yield what waits and may be written now, in the order in which it came."""
        active = {group.policy for group in self.groups}
        rows = sum(len(group.batch.rows) for group in self.groups)
        is_alone = any(work.alone for group in self.groups for work in group.works)
        read = 0
        while self.waiting and not is_alone and read < READ_AT_ONCE:
            work = self.waiting[0]
            if active and (work.alone or not self._fits(work, active, rows)):
                return
            self.waiting.popleft()
            if self._prepare(work):
                active.add(work.policy)
                rows, read = rows + len(work.rows), read + len(work.rows[0].ids)
                is_alone = work.alone
                yield work

    def _fits(self, work: Work, active: set[Policy], rows: int) -> bool:
        if rows + len(work.seeds()) > MOST_ROWS:
            return False
        if work.policy in active:
            return True
        base, _ = work.policy
        adapters = sum(path == base for path, _ in active)
        beside = {path for path, _ in active}
        return adapters < MOST_ADAPTERS and self.models.can_hold(base, beside)

    def _prepare(self, work: Work) -> bool:
        """Read the messages of a request; return whether it can be answered."""
        try:
            base = self.models.base(work.request.base_path, self.report)
            work.prepare(base.tokenizer, base.context)
        except Refusal as error:
            refusal = {"message": str(error), "code": error.code}
            self.report({"event": "refused", "request": work.request.id, **refusal})
            return False
        except Exception as error:  # the next request may well be answered
            self._fail(work, error)
            return False
        return True

    def _join(self, policy: Policy, works: list[Work]) -> None:
        with self.models.policy(*policy, self.report) as (model, tokenizer):
            group = self._group(policy, tokenizer)
            rows = [row for work in works for row in work.rows if not row.is_over]
            if rows:
                group.batch.admit(trunk_of(model), rows)
            group.works += works

    def _group(self, policy: Policy, tokenizer: PreTrainedTokenizerBase) -> _Group:
        """Return the group of a policy that others may join, or a new one."""
        for group in self.groups:
            if group.policy == policy and group.batch.takes_others:
                return group
        batch = Batch(pad=tokenizer.pad_token_id, end=tokenizer.eos_token_id)
        self.groups.append(_Group(policy, batch))
        return self.groups[-1]

    def _write(self, group: _Group) -> None:
        with self.models.policy(*group.policy, self.report) as (model, tokenizer):
            group.batch.draw(head_of(model))
            for work in list(group.works):
                work.tell(tokenizer, self.report)
                if work.is_over:
                    group.works.remove(work)
            group.batch.advance(trunk_of(model))

    @contextmanager
    def _recovering(self, policy: Policy, works: list[Work]) -> Iterator[None]:
        """Bear what goes wrong: each request of the policy begins again, alone, where it was.

        What fails alone has failed, and so has all of a policy that can't be loaded.
        """
        try:
            yield
            return
        except Exception as error:  # the next request may well be answered
            theirs = [g for g in self.groups if g.policy == policy]
            self.groups = [g for g in self.groups if g.policy != policy]
            lost = dict.fromkeys([*(w for g in theirs for w in g.works), *works])
            for work in reversed(lost):
                if work.alone or isinstance(error, PipelineError):
                    self._fail(work, error)
                else:
                    work.alone = True
                    self.waiting.appendleft(work)
            traceback.print_exc()  # to the log
        self.models.release_memory()  # not before: the exception held the tensors of the batch

    def _fail(self, work: Work, error: Exception) -> None:
        traceback.print_exc()  # to the log
        self.report({"event": "failed", "request": work.request.id, "message": words(error)})


def words(error: Exception) -> str:
    """Return what went wrong, for an engineer."""
    if isinstance(error, PipelineError):
        return str(error)
    if "out of memory" in str(error).lower():
        return (
            "The device ran out of memory. End what else uses it, or shorten what is written at "
            "once."
        )
    return f"{type(error).__name__}: {error}"
