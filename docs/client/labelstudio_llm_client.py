"""A small client of the API. Copy this file; it needs Python 3.11 and nothing else.

    from labelstudio_llm_client import Client

    client = Client("https://labels.example.org", "lsl-…")
    client.add_prompts(1, ["Write a haiku about rain."])
    for annotation in client.annotations(1, kind="comparison", in_force=True):
        print(annotation["said"])

What was asked for is done once, however often the line breaks: every POST bears a key of its own,
and is sent again with it. What can't be done is an `ApiError` whose text says what to do.
"""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

Json = dict[str, Any]
T = TypeVar("T")
Kind = Literal[
    "demonstration",
    "comparison",
    "ranking",
    "rating",
    "rewrite",
    "assembly",
    "review",
    "conversation",
]
AGAIN = (429, 502, 503, 504)
"""Answers after which the same request may do better."""
LONGEST_WAIT_S = 60.0
PROMPTS_AT_ONCE = 500
SCORES_AT_ONCE = 1000
ENDED = ("succeeded", "failed", "cancelled")


class Message(TypedDict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Shown(TypedDict):
    """A completion as its judge may know it."""

    letter: str
    text: str


class Assignment(TypedDict):
    """An item to work on."""

    id: int
    project: int
    kind: Kind
    state: Literal["leased", "submitted", "skipped", "expired"]
    lease_until: str
    messages: list[Message]
    completions: list[Shown]
    questions: list[Json]
    guideline: int | None
    draft: Json
    annotation: int | None


class Run(TypedDict):
    """A training run."""

    id: int
    stage: str
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    config: Json
    checkpoint: int | None
    step: int
    total_steps: int
    results: Json
    error: str


class BattleAnswer(TypedDict):
    """One of two answers; who wrote it is told after the vote."""

    letter: Literal["A", "B"]
    text: str | None
    checkpoint: int | None
    name: str | None


class Battle(TypedDict):
    """A question that two checkpoints answered."""

    id: int
    state: Literal["writing", "answered", "failed"]
    error: str
    answers: list[BattleAnswer]
    outcome: Literal["left", "right", "tie", "both_bad"] | None


class ApiError(Exception):
    """What was asked for was not done; the text says why and what to do."""

    def __init__(self, problem: Json) -> None:
        super().__init__(problem.get("detail") or problem.get("title") or "The request failed.")
        self.problem = problem
        self.status: int = problem.get("status", 0)
        self.kind: str = str(problem.get("type", "")).rpartition("#")[2]


@dataclass
class Client:
    """Everything that the API does, one method for what is done most; `ask` for the rest."""

    site: str
    token: str = field(repr=False)
    tries: int = 5
    timeout_s: float = 60.0

    # What is in a project ------------------------------------------------------------------

    def me(self) -> Json:
        """Return whose token this is, what it is good for and where."""
        return self.ask("GET", "me")

    def projects(self) -> Iterator[Json]:
        return self.pages("projects")

    def prompts(self, project: int, **filters: object) -> Iterator[Json]:
        """Yield prompts: `split`, `origin`, `external_id`, `search`."""
        return self.pages(f"projects/{project}/prompts", **filters)

    def completions(self, project: int, **filters: object) -> Iterator[Json]:
        """Yield completions: `prompt`, `origin`, `checkpoint`."""
        return self.pages(f"projects/{project}/completions", **filters)

    def annotations(self, project: int, **filters: object) -> Iterator[Json]:
        """Yield what people said: `kind`, `item`, `prompt`, `in_force`."""
        return self.pages(f"projects/{project}/annotations", **filters)

    def add_prompts(
        self,
        project: int,
        prompts: Iterable[str | Sequence[Message] | Json],
        *,
        as_demonstrations: bool = True,
    ) -> int:
        """Add prompts: texts, messages, or objects with `prompt`, `id` and `tags`.

        Return how many were new.
        """
        rows = (one if isinstance(one, dict) else {"prompt": one} for one in prompts)
        created = 0
        while part := list(islice(rows, PROMPTS_AT_ONCE)):
            body = {"prompts": part, "as_demonstrations": as_demonstrations}
            created += self.ask("POST", f"projects/{project}/prompts", body)["created"]
        return created

    def add_completions(self, project: int, kind: Kind, completions: Sequence[Json]) -> Json:
        """Add completions (`prompt`, `text`, `source_name`), and ask people about them."""
        body = {"kind": kind, "completions": completions}
        return self.ask("POST", f"projects/{project}/completions", body)

    def add_scores(self, project: int, scores: Iterable[Json]) -> int:
        """Keep scores from elsewhere: `scorer`, `score`, and `completion`, or `prompt` and `model`.

        Return how many were new or changed.
        """
        rows, kept = iter(scores), 0
        while part := list(islice(rows, SCORES_AT_ONCE)):
            done = self.ask("POST", f"projects/{project}/scores", {"scores": part})
            kept += done["created"] + done["changed"]
        return kept

    def import_file(
        self,
        project: int,
        path: str | Path,
        *,
        columns: dict[str, str] | None = None,
        leave_out_bad: bool = False,
        every_s: float = 2.0,
        **reading: object,
    ) -> Json:
        """Send a file, import it, and return the import once it has ended, however it has.

        What it is taken for is recognised; correct that with `columns` (such as `prompt="q"`),
        `format`, `annotator` and `asks`. Its `state` is `done`, or `refused`: `errors` says why.
        """
        file = Path(path)
        # Whoever may not is told so before the file is sent, where a broken line would say less.
        self.ask("GET", f"projects/{project}/imports", limit=1)
        sent = self.ask("POST", f"projects/{project}/imports", file, name=file.name[-200:])
        changes = {"columns": columns, **reading}
        # Another format brings columns of its own, so it goes first.
        for part in ({"format": changes.pop("format", None)}, changes):
            if any(value is not None for value in part.values()):
                self.ask("PATCH", f"imports/{sent['id']}", part)
        self.ask("POST", f"imports/{sent['id']}/start", {"leave_out_bad": leave_out_bad})
        while True:
            found = self.ask("GET", f"imports/{sent['id']}")
            if found["state"] not in ("checking", "writing"):
                return found
            time.sleep(every_s)

    # Labelling -----------------------------------------------------------------------------

    def next(self, project: int, kind: Kind | None = None) -> Assignment | None:
        """Take the next item, or get the one that is held; None where nothing waits."""
        found: Assignment | None = self.ask("POST", f"projects/{project}/next", {"kind": kind})[
            "assignment"
        ]
        return found

    def submit(self, assignment: Assignment, **answer: object) -> int:
        """Hand in an answer, such as `choice="left-better"`. Return the annotation's id."""
        body = {"answer": {"kind": assignment["kind"], **answer}}
        kept: int = self.ask("POST", f"assignments/{assignment['id']}/submit", body)["annotation"]
        return kept

    def skip(self, assignment: Assignment, reason: str, note: str = "") -> None:
        """Pass an item on: `unclear`, `unsure`, `broken`, `harmful` or `other`."""
        body = {"reason": reason, "note": note}
        self.ask("POST", f"assignments/{assignment['id']}/skip", body)

    # Training ------------------------------------------------------------------------------

    def freeze(self, project: int, content: str, **filters: object) -> Json:
        """Freeze `demonstrations`, `preferences`, `judgements` or `prompts`."""
        body = {"content": content, "filters": filters}
        return self.ask("POST", f"projects/{project}/snapshots", body)

    def rows(self, snapshot: int) -> Iterator[Json]:
        """Yield the rows of a snapshot, as trainers read them."""
        start: int | None = 0
        while start is not None:
            answer = self.ask("GET", f"snapshots/{snapshot}/rows", start=start, limit=500)
            yield from answer["rows"]
            start = answer["next"]

    def start_run(
        self, project: int, stage: str, *, parent: int, snapshot: int, **more: object
    ) -> Run:
        """Queue a run; `reward_checkpoint` and `config` where they are wanted."""
        body = {"stage": stage, "parent": parent, "snapshot": snapshot, **more}
        started: Any = self.ask("POST", f"projects/{project}/runs", body)
        return self._run(started)

    def wait_for(self, run: int, *, every_s: float = 5.0) -> Run:
        """Return a run once it has ended, however it has."""
        while True:
            found = self._run(self.ask("GET", f"runs/{run}"))
            if found["state"] in ENDED:
                return found
            time.sleep(every_s)

    def metrics(self, run: int) -> Iterator[tuple[int, dict[str, float]]]:
        """Yield the numbers of a run so far, step by step."""
        after: int | None = -1
        while after is not None:
            answer = self.ask("GET", f"runs/{run}/metrics", after=after, limit=1000)
            for one in answer["steps"]:
                yield one["step"], one["values"]
            after = answer["next"]

    def reply(self, reply: int, *, every_s: float = 1.0) -> Json:
        """Have a reply of a chat written; return it once it has ended, however it has.

        The site is asked again until then: it holds no request for longer than 20 seconds.
        """
        while True:
            found = self.ask("PUT", f"replies/{reply}")
            if found["state"] not in ("waiting", "writing"):
                return found
            time.sleep(every_s)

    def battle(self, project: int, question: str, *, every_s: float = 2.0) -> Battle:
        """Ask two checkpoints that nobody names, and return both answers once they are written.

        Vote with `vote`; then `name` of each answer says who wrote it.
        """
        asked: Any = self.ask("POST", f"projects/{project}/battles", {"text": question})
        while asked["state"] == "writing":
            asked = self.ask("PUT", f"battles/{asked['id']}/answers")
            if asked["state"] == "writing":
                time.sleep(every_s)
        battle: Battle = asked
        return battle

    def vote(self, battle: int, outcome: Literal["left", "right", "tie", "both_bad"]) -> Battle:
        """Say which answer of a battle is better: left is A."""
        voted: Any = self.ask("POST", f"battles/{battle}/vote", {"outcome": outcome})
        found: Battle = voted
        return found

    def leaderboard(self, project: int, *, every_s: float = 5.0, **wish: object) -> Json:
        """Return the board once its votes are read: `tag`, `style`, `bootstrap`, `anchor`."""
        while not (board := self.ask("GET", f"projects/{project}/leaderboard", **wish))["is_read"]:
            time.sleep(every_s)
        return board

    def download(self, path: str, to: str | Path, **query: object) -> Path:
        """Write a file to `to`, in full or not at all: `runs/7/job.json`, `projects/1/export`."""
        target = Path(to)
        part = target.with_name(f"{target.name}.part")

        def write(response: Any) -> Path:
            with part.open("wb") as file:
                shutil.copyfileobj(response, file)
            return part.replace(target)

        return self._taken(self._request("GET", path, None, query), None, write)

    @staticmethod
    def _run(answer: Any) -> Run:
        run: Run = answer
        return run

    # How ---------------------------------------------------------------------------------------

    def pages(self, path: str, **filters: object) -> Iterator[Json]:
        """Yield the rows of a list, the newest first, page by page."""
        cursor: str | None = None
        while True:
            page = self.ask("GET", path, cursor=cursor, limit=200, **filters)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def ask(self, method: str, path: str, body: object = None, **query: object) -> Json:
        """Send one request, again where that may help. Return what is answered.

        A body that is a path is sent as a file.
        """

        def read(response: Any) -> Json:
            answer: Json = json.loads(response.read() or b"{}")
            return answer

        return self._taken(self._request(method, path, body, query), body, read)

    def _taken(self, request: Request, body: object, take: Callable[[Any], T]) -> T:
        """Return what is taken from the response; send the request again where that may help."""
        for attempt in range(1, self.tries + 1):
            try:
                with self._sent(request, body) as response:
                    return take(response)
            except HTTPError as error:
                problem = _problem(error)
                if error.code not in AGAIN or attempt == self.tries:
                    raise ApiError(problem) from None
                after = error.headers.get("Retry-After") or ""  # a proxy may name a date
                wait = float(after if after.isdecimal() else 2**attempt)
            except (URLError, TimeoutError, ConnectionError, HTTPException) as error:
                if attempt == self.tries:
                    title = f"{self.site} does not answer ({error}). Try again later."
                    raise ApiError({"title": title}) from error
                wait = float(2**attempt)
            time.sleep(min(wait, LONGEST_WAIT_S))
        raise AssertionError("unreachable: the last try returns or raises")

    def _sent(self, request: Request, body: object) -> Any:
        if not isinstance(body, Path):
            return urlopen(request, timeout=self.timeout_s)
        with body.open("rb") as file:
            request.data = file
            # Or it would be sent in chunks, which the site does not take.
            request.add_header("Content-Length", str(body.stat().st_size))
            return urlopen(request, timeout=self.timeout_s)

    def _request(self, method: str, path: str, body: object, query: Json) -> Request:
        words = {name: _word(value) for name, value in query.items() if value is not None}
        address = f"{self.site.rstrip('/')}/api/v1/{path}" + (
            f"?{urlencode(words)}" if words else ""
        )
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if method == "POST":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        if isinstance(body, Path):
            headers["Content-Type"] = "application/octet-stream"
            return Request(address, headers=headers, method=method)
        data = None if body is None else json.dumps(body).encode()
        return Request(address, data=data, headers=headers, method=method)


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _problem(error: HTTPError) -> Json:
    try:
        found = json.loads(error.read())
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    return {"status": error.code, "title": f"The site answered {error.code} {error.reason}."}
