"""This platform as an outside load test drives it, beside Label Studio.

    python -m tests.load.adapter PATH/TO/loadtest.py --base http://127.0.0.1:8000 setup --n-users 8

The file is loaded as it is; its commands and options follow. It needs what that file needs (httpx
and psutil), nothing of this project, and a running system with its workers: `make run`.

Annotators work over the pages, as a browser does: a session's cookie and the CSRF token that goes
with it. The answer to a submit holds the next item, so `next` costs a request only at the
beginning; what it costs is part of `submit`. With `--auth token` they go over the API, where `next`
is a request of its own.

A task is known by its `key`, which becomes the prompt's external id. Labellers are never told it:
it is read off the prompt, which has its number. A label is known by the marker that the client made
up: it is sent as the reason, so that it is found again in the export "Everything".

The owner is the demo's; OWNER_USERNAME and OWNER_PASSWORD name another, who owns some project.
"""

from __future__ import annotations

import asyncio
import html
import importlib.util
import json
import os
import random
import re
import secrets
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx

NAME = "labelstudio-llm"
OWNER = os.environ.get("OWNER_USERNAME", "alice"), os.environ.get("OWNER_PASSWORD", "haiku-demo")
PASSWORD = "haiku-load-test"
FOUND = 303
NOTHING = 404
"""What `next` is answered in Label Studio where no task is left."""
TIMEOUT_S = 600
IDLE_S = 1.0
"""After which a connection is not used again: the server drops idle ones after two seconds."""
POLL_S = 0.05
IMPORT_S = 600
SUBMIT = re.compile(r"/assignments/(\d+)/submit/")
NUMBER = re.compile(r"\(#(\d+)\)")
"""In the prompt of a task; its key is `k` and this."""
LINK = re.compile(r"/invitations/[\w-]+/")
TOKEN = re.compile(r'id="secret" value="([^"]+)"')
DONE = 'class="badge badge--ok"'
CREATED = re.compile(r">New prompts</span><span[^>]*>([\d,]+)<")
EXPORTS = {"JSON": "label-studio.json"}
"""By Label Studio's names; any other is the name of a file of the page of exports."""


class Session:
    """One annotator: a connection, and the items that were handed out by their keys."""

    def __init__(self, client: httpx.AsyncClient, project: int, *, over_pages: bool) -> None:
        self.client, self.project, self.over_pages = client, project, over_pages
        self.held: dict[str, str] = {}
        """Assignments by the key of their task."""
        self.following: str | None = None
        """The key of the item that the answer to the last submit held."""

    async def aclose(self) -> None:
        await self.client.aclose()

    def hold(self, assignment: str, text: str) -> str:
        """Remember an item that was handed out; return its key."""
        number = NUMBER.search(text)
        if number is None:
            raise RuntimeError(
                f"Assignment {assignment} shows a prompt that is none of the test's."
            )
        key = f"k{number.group(1)}"
        self.held[key] = assignment
        return key


class LabelstudioLlm:
    """What the outside test asks of a server; `Adapter` of that file is mixed in."""

    base: str
    state: dict[str, Any]

    async def setup(self, n_users: int, n_overlap: int) -> dict[str, Any]:
        async with _browser(self.base) as owner:
            await _sign_in(owner, *OWNER)
            first = _token_of(await _make_token(owner, ("read", "write")))
            api = {"Authorization": f"Bearer {first}"}
            # No two projects have one name.
            name = f"{self.state.get('title', 'Haiku pairwise')} {secrets.token_hex(3)}"
            made = await owner.post("/api/v1/projects", json={"name": name}, headers=api)
            project = _expect(made, 201).json()["id"]
            changes = {"comparison_overlap": n_overlap}
            url = f"/api/v1/projects/{project}"
            _expect(await owner.patch(url, json=changes, headers=api), 200)
            invitation = await owner.post(
                f"/projects/{project}/invitations/",
                data={"role": "annotator", "uses": max(1, n_users), "days": 7},
            )
            link = LINK.search(_expect(invitation, 200).text)
            if link is None:
                raise SystemExit("The page of invitations shows no link.")
            started = time.time()
            users = [await self._sign_up(number, link.group()) for number in range(n_users)]
            self.state.update(
                project=project,
                users=users,
                users_s=round(time.time() - started, 2),
                owner=dict(owner.cookies),
            )
        return self.state

    async def _sign_up(self, number: int, link: str) -> dict[str, str]:
        """Bring somebody in by the link; who has an account from an earlier test comes with it."""
        username = f"ann{number}"
        async with _browser(self.base) as person:
            await person.get(link)
            _forward(person)
            account = {"username": username, "name": username}
            account |= {"password1": PASSWORD, "password2": PASSWORD}
            answer = await person.post(link, data=account)
            if answer.status_code != FOUND:
                await _sign_in(person, username, PASSWORD)
                _expect(await person.post(link), FOUND)
            _forward(person)
            token = _token_of(await _make_token(person, ("read", "label")))
        return {"username": username, "token": token}

    async def login(self, i: int, auth: str) -> Session:
        user = self.state["users"][i]
        client = _browser(self.base)
        if auth == "token":
            client.headers["Authorization"] = f"Bearer {user['token']}"
        else:
            await _sign_in(client, user["username"], PASSWORD)
        return Session(client, self.state["project"], over_pages=auth != "token")

    async def next(self, s: Session) -> tuple[int, str | None]:
        if not s.over_pages:
            url = f"/api/v1/projects/{s.project}/next"
            answer = await s.client.post(url, json={"kind": "comparison"})
            shown = answer.json().get("assignment") if answer.is_success else None
            if shown is None:
                return NOTHING if answer.is_success else answer.status_code, None
            return 200, s.hold(str(shown["id"]), shown["messages"][-1]["content"])
        if s.following is not None:
            key, s.following = s.following, None
            return 200, key
        started = await s.client.post(f"/projects/{s.project}/start/", data={"kind": "comparison"})
        if started.status_code != FOUND:
            return started.status_code, None
        page = await s.client.get(started.headers["Location"])
        key = _held_on(s, page)
        return NOTHING if page.is_success and key is None else page.status_code, key

    async def submit(
        self, s: Session, task_id: str, choice: str, marker: str
    ) -> tuple[int, str | None]:
        assignment = s.held.pop(task_id)
        said = {"choice": f"{choice}-better", "reason": marker}
        if not s.over_pages:
            body = {"answer": {"kind": "comparison", **said}}
            answer = await s.client.post(f"/api/v1/assignments/{assignment}/submit", json=body)
            return answer.status_code, marker if answer.is_success else None
        answer = await s.client.post(
            f"/assignments/{assignment}/submit/",
            data={**said, "draft_revision": 0, "active_ms": 4200},
            headers={"HX-Request": "true"},
        )
        if answer.status_code != 200 or "handed in before" in answer.text:
            return answer.status_code, None
        s.following = _held_on(s, answer)
        return 200, marker

    async def import_tasks(
        self, tasks: list[dict[str, str]], labelled: bool
    ) -> tuple[int, int | str]:
        content = json.dumps([_task(task, labelled=labelled) for task in tasks])
        async with self._owner() as owner:
            url = f"/projects/{self.state['project']}/import/"
            brought = await owner.post(url, files={"file": ("tasks.json", content)})
            if brought.status_code != FOUND:
                return brought.status_code, brought.text[:300]
            page = brought.headers["Location"]
            started = await owner.post(f"{page}start/")
            if started.status_code != FOUND:
                return started.status_code, started.text[:300]
            return await _outcome_of(owner, page)

    async def export(self, fmt: str, sink: str) -> tuple[int, int]:
        size = 0
        url = f"/projects/{self.state['project']}/export/{EXPORTS.get(fmt, fmt)}"
        async with self._owner() as owner, owner.stream("GET", url) as answer:
            with Path(sink).open("wb") as file:
                async for piece in answer.aiter_bytes():
                    size += len(piece)
                    file.write(piece)
            return answer.status_code, size

    async def stored(self) -> dict[str, tuple[str, str, str]]:
        with tempfile.NamedTemporaryFile() as sink:
            status, _ = await self.export("annotations.jsonl", sink.name)
            if status != 200:
                raise SystemExit(f"The export was answered {status}.")
            with Path(sink.name).open(encoding="utf-8") as lines:
                rows = [json.loads(line) for line in lines]
        # Labels that were imported have no reason; they are told apart by their numbers.
        return {
            row["reason"] or f"imported {row['annotation_id']}": (
                row["external_id"],
                row["reason"],
                row["annotator"],
            )
            for row in rows
        }

    def _owner(self) -> httpx.AsyncClient:
        """Return the owner's browser as `setup` left it: signing in is no part of what is timed."""
        client = _browser(self.base)
        client.cookies.update(self.state["owner"])
        _forward(client)
        return client


# Requests


def _browser(base: str) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=1, keepalive_expiry=IDLE_S)
    return httpx.AsyncClient(
        base_url=base, timeout=TIMEOUT_S, limits=limits, headers={"Referer": f"{base}/"}
    )


def _forward(client: httpx.AsyncClient) -> None:
    """Send the CSRF token of the newest cookie from now on; signing in changes it."""
    client.headers["X-CSRFToken"] = client.cookies.get("csrf", "")


async def _sign_in(client: httpx.AsyncClient, username: str, password: str) -> None:
    await client.get("/sign-in/")
    _forward(client)
    form = {"username": username, "password": password}
    _expect(await client.post("/sign-in/", data=form), FOUND)
    _forward(client)


async def _make_token(client: httpx.AsyncClient, scopes: tuple[str, ...]) -> httpx.Response:
    page = _expect(await client.get("/tokens/"), 200).text
    projects = re.findall(r'name="projects" value="(\d+)"', page)
    form = {"name": "load test", "scopes": scopes, "projects": projects, "days": "7"}
    return await client.post("/tokens/", data=form)


def _token_of(page: httpx.Response) -> str:
    found = TOKEN.search(page.text)
    if found is None:
        raise SystemExit(f"No token was made ({page.status_code}): {page.text[:600]}")
    return html.unescape(found.group(1))


def _expect(answer: httpx.Response, status: int) -> httpx.Response:
    if answer.status_code != status:
        asked = f"{answer.request.method} {answer.request.url.path}"
        raise SystemExit(f"{asked} was answered {answer.status_code}: {answer.text[:600]}")
    return answer


def _held_on(s: Session, page: httpx.Response) -> str | None:
    """Return the key of the item that a page or a part of one shows, if it shows one."""
    found = SUBMIT.search(page.text) if page.status_code == 200 else None
    return s.hold(found.group(1), page.text) if found else None


# Files


def _task(task: dict[str, str], *, labelled: bool) -> dict[str, Any]:
    """Return a task as Label Studio's own import has it, under its key."""
    row: dict[str, Any] = {"data": {"id": task["key"], **task}}
    if labelled:
        value = {"selected": random.choice(("left", "right"))}
        result = {"from_name": "comparison", "to_name": "comparison", "type": "pairwise"}
        row["annotations"] = [{"result": [{**result, "value": value}], "lead_time": 4.0}]
    return row


async def _outcome_of(owner: httpx.AsyncClient, page: str) -> tuple[int, int | str]:
    """Wait until a worker is done with an import; return how many tasks are new."""
    until = time.monotonic() + IMPORT_S
    while "HX-Refresh" not in (await owner.get(f"{page}progress/")).headers:
        if time.monotonic() > until:
            return 504, "The import goes on still. Is a worker running?"
        await asyncio.sleep(POLL_S)
    shown = (await owner.get(page)).text
    if DONE not in shown:
        notices = re.findall(r'role="alert"><p>([^<]*)', shown)
        return 422, " ".join(notices)[:300] or "The import ended without being done; see its page."
    created = CREATED.search(shown)
    return 201, int(created.group(1).replace(",", "")) if created else 0


# The command line


def load(path: str) -> ModuleType:
    """Return the outside test as a module."""
    spec = importlib.util.spec_from_file_location("loadtest", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is no file of Python.")
    loadtest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loadtest)
    return loadtest


def main() -> None:
    """Run the outside test with this adapter; what it writes goes to `out`, as it has it."""
    if len(sys.argv) < 3:
        raise SystemExit("python -m tests.load.adapter PATH/TO/loadtest.py COMMAND [OPTION ...]")
    loadtest = load(sys.argv.pop(1))
    loadtest.ADAPTERS[NAME] = type("Adapter", (LabelstudioLlm, loadtest.Adapter), {})
    sys.argv[1:1] = ["--adapter", NAME]
    Path("out").mkdir(exist_ok=True)
    loadtest.main()


if __name__ == "__main__":
    main()
