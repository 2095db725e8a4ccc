"""Completions of given prompts by a server that speaks the OpenAI chat protocol.

Four questions are asked at a time. What comes back is written to a file at once, so that a run that
is interrupted pays for no answer twice. What could not be had is left out and counted; a server
that fails for everything is given up early. No torch here: such a run loads no model.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.pipeline.checkpoints import publish
from training.pipeline.config import SampleConfig
from training.pipeline.endpoint import EndpointError, ask
from training.pipeline.errors import PipelineError, RunStopped
from training.pipeline.events import Report
from training.pipeline.jobs import ExternalSource, Job

KEY_VARIABLE = "ENDPOINT_API_KEY"
"""The environment brings the key: a job's file lies on the disk."""
CONCURRENCY = 4
MOST_TRIES = 5
BACK_OFF_S = 1.0
"""Before the second try; doubled for each further one."""
MOST_FAILURES_IN_A_ROW = 8
"""After so many questions without an answer between them the rest are not asked."""
LOOK_EVERY_S = 0.5


@dataclass(frozen=True)
class Question:
    """One completion that is wanted."""

    prompt_id: int
    number: int
    """Which of the prompt's completions."""
    messages: list[dict[str, str]]
    sampling: dict[str, Any]


@dataclass
class Outcome:
    """What became of all questions."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """Why, and how often."""

    def results(self) -> dict[str, Any]:
        """Return what the run's page shows of it."""
        if not self.left_out:
            return {}
        reason, _ = self.left_out.most_common(1)[0]
        return {"left_out": self.left_out.total(), "why_left_out": reason}


def train(job: Job, report: Report, should_stop: Callable[[], bool]) -> dict[str, Any]:
    """Ask for the completions and publish them as completions.jsonl. Return how many there are."""
    assert job.external is not None  # that is why this was chosen
    if not isinstance(job.config, SampleConfig):
        raise PipelineError(f"{job.external.name} has no weights here to train. Choose a policy.")
    config = job.config
    report({"event": "phase", "phase": "asking"})

    def tell(done: int, total: int) -> None:
        report({"event": "progress", "step": done, "total_steps": total})

    outcome = answers(job, job.external, "policy", config, tell, should_stop)
    if not outcome.rows:
        raise PipelineError(nothing_came(outcome))
    rows = sorted(outcome.rows, key=lambda row: row["prompt_id"])

    def write(folder: Path) -> None:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / "completions.jsonl").write_text(lines, encoding="utf-8")

    results = {"completions": len(rows), **outcome.results()}
    publish(Path(job.output_dir), write, {"results": results})
    return results


def nothing_came(outcome: Outcome) -> str:
    """Say why a server gave no answer at all."""
    if not outcome.left_out:
        return "There are no prompts to answer. Add prompts to the project first."
    reason, count = outcome.left_out.most_common(1)[0]
    return reason if count == outcome.left_out.total() else f"No answer came. Most often: {reason}"


def answers(
    job: Job,
    source: ExternalSource,
    side: str,
    config: SampleConfig,
    tell: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> Outcome:
    """Return the server's completions of the job's prompts, and what was left out and why.

    `tell` hears how many questions of how many are done.
    """
    questions = _questions(job, config)
    kept = _Kept(Path(job.work_dir) / f"asked-{side}.jsonl")
    outcome = Outcome([row for row in kept.rows.values() if row["source"] == side])
    due = [one for one in questions if (one.prompt_id, one.number) not in kept.rows]
    done, in_a_row = len(questions) - len(due), 0
    tell(done, len(questions))
    asking = _Asking(source, due)
    try:
        while done < len(questions):
            if should_stop():
                raise RunStopped
            came = asking.next()
            if came is None:
                continue
            question, result = came
            done += 1
            if isinstance(result, EndpointError):
                outcome.left_out[str(result)] += 1
                in_a_row += 1
                if result.for_all or in_a_row >= MOST_FAILURES_IN_A_ROW:
                    outcome.left_out[str(result)] += len(questions) - done
                    break
            else:
                in_a_row = 0
                row = _row(question, side, source, result)
                kept.add(question, row)
                outcome.rows.append(row)
            tell(done, len(questions))
    finally:
        asking.give_up()
    return outcome


def _questions(job: Job, config: SampleConfig) -> list[Question]:
    if job.data_path is None or not Path(job.data_path).is_file():
        raise PipelineError("The file of prompts is not there. Start the run again.")
    with Path(job.data_path).open(encoding="utf-8") as file:
        prompts = {row["prompt_id"]: row["prompt"] for row in map(json.loads, file)}
    sampling = {
        "temperature": config.temperature,
        "top_p": config.top_p,
        "max_tokens": config.max_new_tokens,
    }
    count = config.completions_per_prompt
    return [
        # another seed for each, or a server that heeds it would write the same again
        Question(prompt_id, number, messages, {**sampling, "seed": config.seed * count + number})
        for prompt_id, messages in prompts.items()
        for number in range(count)
    ]


def _row(question: Question, side: str, source: ExternalSource, answer: Any) -> dict[str, Any]:
    sampling = question.sampling
    return {
        "prompt_id": question.prompt_id,
        "source": side,
        "text": answer.text,
        "sampling": {
            "temperature": sampling["temperature"],
            "top_p": sampling["top_p"],
            "seed": sampling["seed"],
            "ended": answer.finish_reason == "stop",
            "endpoint": source.name,
            "model": answer.model,
            "tokens": answer.tokens,
        },
    }


class _Kept:
    """The answers of this run so far, one a line; a line that was cut off is asked for again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[tuple[int, int], dict[str, Any]] = {}
        whole = ""
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
                if line.endswith("\n"):
                    number, row = json.loads(line)
                    self.rows[row["prompt_id"], number] = row
                    whole += line
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(whole, encoding="utf-8")

    def add(self, question: Question, row: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([question.number, row]) + "\n")
            file.flush()
            os.fsync(file.fileno())


class _Asking:
    """A few threads that ask. They die with the process, so a stop waits for no server."""

    def __init__(self, source: ExternalSource, questions: list[Question]) -> None:
        self.source = source
        self.key = os.environ.get(KEY_VARIABLE, "")
        self.over = threading.Event()
        self.due: queue.SimpleQueue[Question] = queue.SimpleQueue()
        self.came: queue.SimpleQueue[tuple[Question, Any]] = queue.SimpleQueue()
        for question in questions:
            self.due.put(question)
        for _ in range(min(CONCURRENCY, len(questions))):
            threading.Thread(target=self._work, daemon=True).start()

    def next(self) -> tuple[Question, Any] | None:
        """Return a question with its answer or its error; None where nothing came for a moment."""
        try:
            return self.came.get(timeout=LOOK_EVERY_S)
        except queue.Empty:
            return None

    def give_up(self) -> None:
        self.over.set()

    def _work(self) -> None:
        while not self.over.is_set():
            try:
                question = self.due.get_nowait()
            except queue.Empty:
                return
            try:
                result: Any = self._ask(question)
            except EndpointError as error:
                result = error
            except Exception as error:  # a thread that dies without a word would hang the run
                name = self.source.name
                result = EndpointError(f"{type(error).__name__} while {name} was asked.")
            self.came.put((question, result))

    def _ask(self, question: Question) -> Any:
        """Ask, and ask again after a while where that may help."""
        for tries in range(1, MOST_TRIES + 1):
            try:
                return ask(self.source, self.key, question.messages, question.sampling)
            except EndpointError as error:
                if not error.retry or tries == MOST_TRIES or self.over.is_set():
                    raise
                self.over.wait(max(error.after_s, BACK_OFF_S * 2 ** (tries - 1)))
        raise AssertionError("The last try returns or raises.")
