"""`manage.py run_loop`: the closed loop, measured, with simulated annotators."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from training.pipeline import orphans

START_SECONDS = 120


class Command(BaseCommand):
    """Run the loop from an empty database of its own and print one report a seed."""

    help = "Run the closed loop with simulated annotators on the demo model and report on it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="one loop for each")
        parser.add_argument("--rounds", type=int, default=1, help="how often it goes round by hand")
        parser.add_argument("--by-itself", type=int, default=0, help="rounds after that, unasked")
        parser.add_argument("--settings-json", default="{}", help="changes to the loop's settings")
        parser.add_argument("--inside", type=int, help="(internal) the seed to run in this place")

    def handle(self, *_: Any, **options: Any) -> None:
        if options["rounds"] < 1:
            raise CommandError("It goes round at least once: --rounds 1.")
        if options["inside"] is not None:
            self.run_inside(options["inside"], json.loads(options["settings_json"]))
            return
        reports = []
        for seed in options["seeds"]:
            place = settings.VAR_DIR / "loop" / f"seed-{seed}"
            shutil.rmtree(place, ignore_errors=True)
            rounds = {name: options[name] for name in ("rounds", "by_itself")}
            changes = {**rounds, **json.loads(options["settings_json"])}
            self.run_in_place(place, seed, json.dumps(changes))
            reports.append(json.loads((place / "loop.json").read_text(encoding="utf-8")))
        target = settings.VAR_DIR / "loop.json"
        target.write_text(json.dumps(reports, indent=1, ensure_ascii=False), encoding="utf-8")
        promoted = sum(report["promoted"] for report in reports)
        self.stdout.write(f"\n{promoted} of {len(reports)} seeds promoted. Written to {target}.")

    def run_in_place(self, place: Path, seed: int, settings_json: str) -> None:
        """Start the same command with a database, broker and artifact store of its own."""
        environment = {
            **os.environ,
            "VAR_DIR": str(place),
            "BASE_MODEL_PATH": str(settings.BASE_MODEL_PATH),
            "DEMO": "1",
            "PORT": str(_free_port()),
            "LOG_LEVEL": "WARNING",
        }
        for name in ("DATABASE_URL", "REDIS_URL", "ARTIFACTS_URL"):
            environment.pop(name, None)
        command = [sys.executable, "manage.py", "run_loop", "--inside", str(seed)]
        command += ["--settings-json", settings_json]
        if subprocess.run(command, env=environment, cwd=settings.BASE_DIR, check=False).returncode:
            raise CommandError(f"The loop with seed {seed} did not come to an end; see {place}.")

    def run_inside(self, seed: int, changes: dict[str, Any]) -> None:
        """Start web, workers and broker, go round, stop them, write and print the report."""
        from annotations.models import Project
        from training.closed_loop import ClosedLoop, Settings, describe

        # Ended from outside, it still ends the platform that it started.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        orphans.end_with(os.getppid(), signal.SIGTERM)
        base_url, started = f"http://127.0.0.1:{os.environ['PORT']}", time.monotonic()
        with (settings.VAR_DIR / "platform.log").open("w") as log:
            platform = subprocess.Popen(
                [sys.executable, "-m", "labelstudio_llm.start", "--end-with-parent"],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _wait_for(base_url, platform)
            loop = ClosedLoop(
                Project.objects.get(name="Haiku"),
                base_url,
                "haiku-demo",
                Settings(seed=seed, **changes),
                lambda line: self.stdout.write(line),
                started=started,
            )
            report = loop.run()
        finally:
            platform.send_signal(signal.SIGINT)
            try:
                platform.wait(timeout=40)
            except subprocess.TimeoutExpired:
                os.killpg(platform.pid, signal.SIGKILL)
        text = json.dumps(asdict(report), indent=1, ensure_ascii=False)
        (settings.VAR_DIR / "loop.json").write_text(text, encoding="utf-8")
        self.stdout.write("\n" + describe(report))
        if report.stopped:
            raise CommandError(report.stopped)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(base_url: str, platform: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if platform.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"{base_url}/sign-in/", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise CommandError(f"The platform did not start; see {settings.VAR_DIR / 'platform.log'}.")
