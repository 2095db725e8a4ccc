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
    for line in sys.stdin:
        answer(behaviour, json.loads(line))


if __name__ == "__main__":
    main(sys.argv[1])
