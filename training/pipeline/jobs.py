"""What a process is told to do: a run, a turn of a conversation, a stream. No torch here."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Self

from training.pipeline.config import (
    MOST_NEW_TOKENS,
    AnyConfig,
    between,
    check_sampling,
    parse_config,
)
from training.pipeline.errors import PipelineError

MOST_STOPS = 16


@dataclass(frozen=True, kw_only=True)
class ExternalSource:
    """A server elsewhere that answers prompts. Its key is not here: a job lies on the disk."""

    name: str
    """What its completions are filed under."""
    url: str
    """Up to where `/chat/completions` follows."""
    model: str
    timeout_s: float
    """How long one answer may take."""
    allowed: tuple[str, ...] = ()
    """Hosts that may be asked though they lie in a private network; `*` means all."""


@dataclass(frozen=True, kw_only=True)
class Cases:
    """The regression cases that a suite tries beside its own prompts."""

    path: str
    """Their prompts, as JSONL, with the texts that a reward model holds answers against."""
    answers: int
    """Completions of each prompt."""
    max_new_tokens: int


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run as the child process sees it: a stage's config and where everything lies.

    Written as JSON beside the run's work folder; `python -m training.pipeline JOB.json` runs it.
    """

    config: AnyConfig
    base_path: str
    """Folder of the base model (safetensors)."""
    work_dir: str
    """Folder of resume points and scratch files; survives attempts, owned by the run."""
    output_dir: str
    """Where the checkpoint is published (renamed into place, whole or absent)."""
    adapter_path: str | None = None
    """Folder of the parent's adapter; None when the parent is the base itself."""
    reward_path: str | None = None
    """Folder of the reward model's adapter, of a stage that needs one."""
    rival_path: str | None = None
    """Of sample for an evaluation: folder of the second checkpoint's adapter."""
    rival_base_path: str | None = None
    """Of sample for an evaluation: folder of the model that the second checkpoint's adapter lies
    on; None where both lie on the same."""
    rival: bool = False
    """Of sample and suite: whether a second checkpoint answers, too (`rival_path` None: the
    base)."""
    external: ExternalSource | None = None
    """Of sample: the server that answers in the place of a model; `base_path` is empty then."""
    rival_external: ExternalSource | None = None
    """Of sample for an evaluation: the server that answers as the second."""
    data_path: str | None = None
    """The snapshot's JSONL (of sample: the prompts)."""
    cases: Cases | None = None
    """Of suite: the regression cases that both are tried on."""
    demonstrations_path: str | None = None
    """Of reward: the snapshot of demonstrations whose mean score becomes 0."""
    card: str = ""
    """Of export: the model card, which goes beside the weights as README.md."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Copied into manifest.json: run id, snapshot hash, parent, code version."""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Job:
        config = dict(values["config"])
        servers = {
            name: ExternalSource(**{**values[name], "allowed": tuple(values[name]["allowed"])})
            for name in ("external", "rival_external")
            if values.get(name)
        }
        cases = Cases(**values["cases"]) if values.get("cases") else None
        parsed = parse_config(config["stage"], config)
        return cls(**{**values, **servers, "cases": cases, "config": parsed})

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class _Request:
    """What a resident process is to answer, and with what: one line of JSON on its input."""

    id: str
    """What the process calls it in the events that it sends."""
    base_path: str
    """Folder of the base model (safetensors)."""
    adapter_path: str | None
    """Folder of the policy's adapter; None for the base itself."""
    messages: list[dict[str, str]]
    """The conversation up to and including the message to answer."""
    temperature: float
    top_p: float
    max_new_tokens: int

    def __post_init__(self) -> None:
        _check_messages(self.messages)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the request. Raise PipelineError where something is missing or cannot work."""
        try:
            return cls(**values)
        except TypeError as error:  # names that are missing or unknown
            raise PipelineError(f"This is no request to answer: {error}.") from None

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class ReplyRequest(_Request):
    """A turn of a conversation: there is one reply for each seed."""

    seeds: list[int]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sampling(self)
        if not isinstance(self.seeds, list) or not self.seeds:
            raise PipelineError("The request has no seeds; each reply needs one.")
        for seed in self.seeds:
            _check_seed(seed)


@dataclass(frozen=True, kw_only=True)
class StreamRequest(_Request):
    """A completion that is read while it is written. A temperature of 0 takes the likeliest."""

    seed: int
    stop: list[str]
    """The completion ends before the first of these."""

    def __post_init__(self) -> None:
        super().__post_init__()
        between(self, "temperature", 0, 10)
        between(self, "top_p", 0, 1)
        between(self, "max_new_tokens", 1, MOST_NEW_TOKENS)
        _check_seed(self.seed)
        texts = isinstance(self.stop, list) and all(isinstance(s, str) and s for s in self.stop)
        if not texts or len(self.stop) > MOST_STOPS:
            raise PipelineError(f"What ends the answer is a list of {MOST_STOPS} texts at most.")


def _check_seed(seed: object) -> None:
    if type(seed) is not int or not 0 <= seed < 2**63:
        raise PipelineError(f"A seed is a whole number from 0 to 2⁶³ - 1, not {seed!r}.")


def _check_messages(messages: object) -> None:
    if not isinstance(messages, list) or not messages:
        raise PipelineError("The request has no messages; there is nothing to answer.")
    for message in messages:
        if (
            not isinstance(message, dict)
            or message.keys() != {"role", "content"}
            or not all(isinstance(value, str) for value in message.values())
        ):
            raise PipelineError("Each message is a role and a content, both of them text.")
