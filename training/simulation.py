"""Annotators who are programs: they sign in, read the page and answer over HTTP, as people do.

They judge by the stated haiku rubric (`annotations.algorithms.haiku`) and are wrong on purpose:
a share of their judgements is flipped at random. They see what the page shows and nothing else.
"""

from __future__ import annotations

import random
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import CookieJar

Judge = Callable[[str, str], float]
"""(prompt, completion) -> score; more is better."""

STRENGTH_FROM_GAP = (
    (1.5, "significantly"),
    (0.75, "better"),
    (0.4, "slightly"),
    (0.0, "negligibly"),
)
"""Smallest rubric gap of each strength."""
POINT_GAP = 0.75
"""How far below perfect (a score of 0) each point of a scale lies under the one above it."""
JUDGED = ("comparison", "ranking", "rating")
"""The kinds of work that need a judge and nobody who writes."""
TIMEOUT_SECONDS = 30


class SimulationError(Exception):
    """The pages did not behave as an annotator may expect."""


@dataclass
class WorkPage:
    """What an annotator sees: the prompt, the completions in their order, the form.

    `scales` are the questions that are asked about a completion, each with its highest point.
    """

    action: str = ""
    kind: str = ""
    prompt: str = ""
    completions: list[str] = field(default_factory=list)
    hidden: dict[str, str] = field(default_factory=dict)
    scales: dict[str, int] = field(default_factory=dict)


class _PageParser(HTMLParser):
    """Reads [data-prompt], [data-completion] and the form that submits to …/submit/."""

    def __init__(self) -> None:
        super().__init__()
        self.page = WorkPage()
        self._depth = 0
        self._text: list[str] | None = None
        self._into = ""
        self._in_form = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.page.kind = values.get("data-work") or self.page.kind
        if tag == "form":
            action = values.get("action") or ""
            self._in_form = action.endswith("/submit/")
            if self._in_form:
                self.page.action = action
        if self._in_form and tag == "input":
            name, value = values.get("name") or "", values.get("value") or ""
            if values.get("type") == "hidden":
                self.page.hidden[name] = value
            if values.get("type") == "radio" and name.startswith("rating-"):
                self.page.scales[name] = max(int(value), self.page.scales.get(name, 0))
        if self._text is not None:
            if tag == "br":
                self._text.append("\n")
            elif tag not in ("input", "img", "hr", "wbr"):
                self._depth += 1
        elif "data-prompt" in values or "data-completion" in values:
            self._into = "prompt" if "data-prompt" in values else "completion"
            self._text, self._depth = [], 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._in_form = False
        if self._text is None:
            return
        self._depth -= 1
        if self._depth == 0:
            text = "".join(self._text)
            if self._into == "prompt":
                self.page.prompt = text.strip()
            else:
                self.page.completions.append(text)
            self._text = None

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)


def _position(name: str) -> int:
    """Return which completion a question is about: `rating-2-overall` is about the second."""
    return int(name.split("-")[1])


def read_page(html: str) -> WorkPage | None:
    """Return the work on a page, or None where there is nothing left to do."""
    parser = _PageParser()
    parser.feed(html)
    return parser.page if parser.page.action else None


class SimulatedAnnotator:
    """One annotator with a browser's cookies, a judge and a share of mistakes."""

    def __init__(
        self, base_url: str, username: str, password: str, *, judge: Judge, flip: float, seed: int
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.judge = judge
        self.flip = flip
        self.random = random.Random(seed)
        self._cookies = CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(self._cookies)
        )
        self._sign_in(username, password)

    def work(self, project_id: int, kind: str, *, limit: int | None = None) -> int:
        """Answer items of one kind until none is left (or `limit`). Return how many.

        When a kind runs out the page offers the next one, which is left for later.
        """
        answered = 0
        page = read_page(self._post(f"/projects/{project_id}/start/", {"kind": kind}))
        while page is not None and page.kind == kind and (limit is None or answered < limit):
            page = read_page(self._post(page.action, {**page.hidden, **self.answer(page)}))
            answered += 1
        return answered

    def answer(self, page: WorkPage) -> dict[str, str]:
        """Return the form fields for what the page asks: a choice, tiers, points of scales."""
        if page.kind not in JUDGED:
            raise SimulationError(
                "Simulated annotators compare, rank and rate; they do not write, and this page "
                f"asks for a {page.kind}. Ask people, or for another kind of work."
            )
        scores = [self.judge(page.prompt, text) for text in page.completions]
        if page.kind == "comparison":
            return {"choice": self.choose(scores[0], scores[1])}
        fields = {
            name: str(self.rate(scores[_position(name) - 1], points))
            for name, points in page.scales.items()
        }
        if page.kind == "ranking":
            tiers = self.rank(scores)
            fields |= {f"tier-{i + 1}": str(tier) for i, tier in enumerate(tiers)}
        return fields

    def rate(self, score: float, points: int) -> int:
        """Return the point of a scale for a score; a flipped one lies as far from the other end.

        A perfect score has the highest point. Flags are never raised: they are about what a text
        says, which the rubric does not know.
        """
        point = max(1, points - round(max(0.0, -score) / POINT_GAP))
        return points + 1 - point if self.random.random() < self.flip else point

    def choose(self, left: float, right: float) -> str:
        """Return the choice between two scores; a flipped judgement says the opposite.

        Where the rubric ties the opposite is either side, at random.
        """
        gap = left - right
        if self.random.random() < self.flip:
            gap = -gap if gap else self.random.choice((-1, 1)) * STRENGTH_FROM_GAP[2][0]
        if gap == 0:
            return "tie"
        strength = next(name for least, name in STRENGTH_FROM_GAP if abs(gap) >= least)
        return f"{'left' if gap > 0 else 'right'}-{strength}"

    def rank(self, scores: Sequence[float]) -> list[int]:
        """Return the tier (1 is best) of each score, by counting wins in noisy pairs.

        Every pair is judged once, and flipped like a comparison is; more wins is a better tier,
        equal wins share one.
        """
        wins = [0.0] * len(scores)
        for i in range(len(scores)):
            for j in range(i + 1, len(scores)):
                choice = self.choose(scores[i], scores[j])
                if choice == "tie":
                    wins[i] += 0.5
                    wins[j] += 0.5
                else:
                    wins[i if choice.startswith("left") else j] += 1
        levels = sorted(set(wins), reverse=True)
        return [levels.index(w) + 1 for w in wins]

    def _sign_in(self, username: str, password: str) -> None:
        self._get("/sign-in/")
        html = self._post("/sign-in/", {"username": username, "password": password})
        if not any(cookie.name.endswith("session") for cookie in self._cookies):
            raise SimulationError(f"{username} could not sign in: {html[:200]}")

    def _get(self, path: str) -> str:
        return self._send(urllib.request.Request(self.base_url + path))

    def _post(self, path: str, fields: dict[str, str]) -> str:
        token = next((c.value for c in self._cookies if "csrf" in c.name.lower()), "") or ""
        body = urllib.parse.urlencode({**fields, "csrfmiddlewaretoken": token}).encode()
        request = urllib.request.Request(self.base_url + path, data=body)
        request.add_header("Referer", self.base_url + path)
        return self._send(request)

    def _send(self, request: urllib.request.Request) -> str:
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                text: str = response.read().decode("utf-8")
                return text
        except urllib.error.HTTPError as error:
            raise SimulationError(
                f"{request.full_url} answered {error.code}: {error.read().decode('utf-8')[:300]}"
            ) from error
