"""Child programs that speak the protocol without training: real processes for real faults.

Run as `python scripted.py BEHAVIOUR JOB.json`. A "sleepy" child works through steps and resumes
where its work folder says it was, as a stage does.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

STEPS = int(os.environ.get("SCRIPTED_STEPS", "6"))
STEP_S = float(os.environ.get("SCRIPTED_STEP_S", "0.05"))


def command(behaviour: str) -> list[str]:
    """Return the command line of a child with this behaviour."""
    return [sys.executable, str(Path(__file__).resolve()), behaviour]


def say(event: str, **values: Any) -> None:
    print(json.dumps({"event": event, **values}), flush=True)


def publish(job: dict[str, Any]) -> str:
    """Leave what a finished run leaves: an adapter with its manifest, or completions."""
    output = Path(job["output_dir"])
    output.mkdir(parents=True, exist_ok=True)
    if job["config"]["stage"] == "sample":
        prompts = [json.loads(line) for line in Path(job["data_path"]).read_text().splitlines()]
        sources = ["policy", "rival"] if job["rival"] else ["policy"]
        rows = [
            {
                "prompt_id": prompt["prompt_id"],
                "source": source,
                "text": f"{source} says {number}",
                "sampling": {"temperature": 1.0, "top_p": 1.0, "seed": 0, "ended": True},
            }
            for prompt in prompts
            for source in sources
            for number in range(job["config"]["completions_per_prompt"])
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (output / "completions.jsonl").write_text(text)
        return str(output)
    aside = output.with_name(f"{output.name}.tmp-{os.getpid()}")
    aside.mkdir()
    weights = aside / "adapter_model.safetensors"
    weights.write_bytes(b"weights")
    files = {weights.name: hashlib.sha256(weights.read_bytes()).hexdigest()}
    manifest = {"files": files, "config": job["config"], "provenance": job["provenance"]}
    (aside / "manifest.json").write_text(json.dumps(manifest))
    shutil.rmtree(output)
    aside.rename(output)
    return str(output)


def work(job: dict[str, Any], *, until: int = STEPS) -> None:
    """Do the steps that are left, one line of a file each; stop between steps when asked to."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    done = Path(job["work_dir"]) / "steps.txt"
    first = len(done.read_text().split()) if done.exists() else 0
    say("phase", phase="working")
    say("progress", step=first, total_steps=STEPS)
    for step in range(first + 1, until + 1):
        time.sleep(STEP_S)
        with done.open("a") as file:
            file.write(f"{step}\n")
        say("progress", step=step, total_steps=STEPS)
        say("metrics", step=step, values={"loss": 1 / step})
        if stop.is_set():
            say("stopped")
            sys.exit(75)


def main(behaviour: str, path: str) -> None:
    job = json.loads(Path(path).read_text())
    print("a line for the log\0", file=sys.stderr, flush=True)
    match behaviour:
        case "works":
            print("a library prints this")
            say("samples", samples=[{"prompt": "p", "before": "b", "after": "a\0 \ud800"}])
            work(job)
        case "nan":
            say("progress", step=1, total_steps=2)
            say("metrics", step=1, values={"loss": float("nan"), "kl": float("inf"), "lr": 0.5})
            say("done", results={"kl": float("nan"), "rows": 3}, output=publish(job))
            return
        case "expected":
            change = {"learning_rate": 1e-5}
            words = "The loss is NaN. Lower it."
            say("error", message=words, expected=True, detail="trace", change=change)
            sys.exit(1)
        case "unexpected":
            say("error", message="KeyError: 'x'", expected=False, detail="Traceback \0 x")
            sys.exit(1)
        case "vanishes":
            sys.exit(3)
        case "killed":
            say("progress", step=1, total_steps=STEPS)
            os.kill(os.getpid(), signal.SIGKILL)
        case "fails once":
            mark = Path(job["work_dir"]) / "was_here"
            if not mark.exists():
                mark.touch()
                work(job, until=STEPS // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            work(job)
        case "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            say("phase", phase="deaf")
            time.sleep(600)
        case "finishes when stopped":
            stop = threading.Event()
            signal.signal(signal.SIGTERM, lambda *_: stop.set())
            say("phase", phase="saving")
            stop.wait(600)
        case "parent":
            grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            say("phase", phase=f"grandchild {grandchild.pid}")
            time.sleep(600)
        case "torn":
            Path(publish(job), "adapter_model.safetensors").write_bytes(b"other")
            say("done", results={}, output=job["output_dir"])
            return
        case "no words":
            print("x" * 100_000)
            print("{" * 10_000)
            print('["event"]')
            print('{"event": 5}')
            say("metrics", step="x", values=[1])
            say("metrics", step=-1, values={"loss": "NaN", "n": 10**400})
            say("progress", step=9, total_steps=4)
            say("samples", samples="x")
    say("done", results={"rows": 3}, output=publish(job))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
