"""Resident children that speak the protocol without a model: real processes for real faults.

Run as `python scripted_replies.py BEHAVIOUR`; requests come on standard input.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any


def command(behaviour: str) -> list[str]:
    """Return the command line of a child with this behaviour."""
    return [sys.executable, str(Path(__file__).resolve()), behaviour]


def say(event: str, **values: Any) -> None:
    print(json.dumps({"event": event, **values}), flush=True)


def reply(request: dict[str, Any]) -> None:
    """Answer with what was asked, said by each seed."""
    asked = request["messages"][-1]["content"]
    replies = [
        {
            "text": f"{number}: {asked}\0",
            "sampling": {"seed": seed, "temperature": request["temperature"], "tokens": 3},
        }
        for number, seed in enumerate(request["seeds"])
    ]
    say("replies", request=request["id"], replies=replies)


class Streams:
    """Writes streams word by word, all of them at once, until each is at its end or stopped."""

    def __init__(self) -> None:
        self.words: dict[str, list[str]] = {}
        self.asked: dict[str, dict[str, Any]] = {}
        self.most_at_once = 0

    def begin(self, request: dict[str, Any]) -> None:
        text = f"{request['messages'][-1]['content']} ({request['checkpoint']})\0"
        words = text.split(" ") if request["seed"] != FOR_EVER else ["on"] * 100_000
        self.words[request["id"]] = words[: request["max_new_tokens"]]
        self.asked[request["id"]] = request
        self.most_at_once = max(self.most_at_once, len(self.words))

    def step(self) -> None:
        for name, words in list(self.words.items()):
            if words:
                say("text", request=name, text=words.pop(0) + (" " if words else ""))
            else:
                self.end(name, "stop")

    def end(self, name: str, reason: str) -> None:
        if self.words.pop(name, None) is not None:
            request = self.asked[name]
            usage = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
            say("ended", request=name, reason=reason, usage=usage, seed=request["seed"])


FOR_EVER = 13
"""A stream with this seed goes on until it is stopped."""


def stream(behaviour: str) -> None:
    """Answer streams as they come, from a thread that reads and a loop that writes."""
    import queue
    import threading

    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=lambda: [lines.put(line) for line in sys.stdin], daemon=True).start()
    streams = Streams()
    while True:
        try:
            told = json.loads(lines.get(timeout=0.01))
        except queue.Empty:
            streams.step()
            continue
        if "stop" in told and "seed" not in told:
            streams.end(told["stop"], told["reason"])
        elif "seeds" in told:
            reply(told)
        elif "poison" in told["messages"][-1]["content"]:
            die()
        elif "much too long" in told["messages"][-1]["content"]:
            say("refused", request=told["id"], message="It is too long. Shorten it.")
        else:
            told["checkpoint"] = Path(told["adapter_path"] or told["base_path"]).name
            streams.begin(told)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def answer(behaviour: str, request: dict[str, Any]) -> None:
    match behaviour:
        case "answers":
            print("a library prints this")
            say("replies", request="0-0", replies=[])
            reply(request)
            say("progress", request=request["id"], percent=3)
        case "one reply":
            say("replies", request=request["id"], replies=[])
        case "refuses":
            say("refused", request=request["id"], message="It is too long. Start a new one.")
        case "fails":
            say("failed", request=request["id"], message="KeyError: /secret/path/run-12")
        case "dies":
            die()
        case "dies over poison":
            if "poison" in request["messages"][-1]["content"]:
                time.sleep(0.3)  # the others are in its batch
                die()
            reply(request)
        case "hangs":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "never ends":
            for percent in range(1, 10_000):
                say("progress", request=request["id"], percent=min(percent, 90))
                time.sleep(0.1)


def main(behaviour: str) -> None:
    say("phase", phase="ready")
    if behaviour == "streams":
        stream(behaviour)
    for line in sys.stdin:
        answer(behaviour, json.loads(line))


if __name__ == "__main__":
    main(sys.argv[1])
