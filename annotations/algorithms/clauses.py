"""Guidelines as clauses with cases: every heading begins a clause, a fenced block is a case of it.

    ```case
    [prompt]
    Write a haiku about rain.
    [A]
    Rain on the tin roof
    …
    [B]
    …
    [expected]
    A
    [why]
    B has four lines.
    ```

So a version is one text: its cases are drafted, merged, compared and published with the words that
they belong to. A line of a text that reads like one of the labels is written with a backslash.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markdown_it import MarkdownIt
from markdown_it.token import Token

from annotations.algorithms.text import MAX_COMPLETION_CHARS, MAX_PROMPT_CHARS, same_words

LABELS = ("[prompt]", "[A]", "[B]", "[expected]", "[why]")
EXPECTED = {"a": "left", "b": "right", "tie": "tie", "both bad": "both_bad"}
"""What may be expected, and the outcome of a comparison that it is."""
MAX_CASES = 200
MAX_WHY_CHARS = 2_000
MAX_TITLE_CHARS = 200

_NAME = r"\[(?:prompt|A|B|expected|why)\][ \t]*$"
_LABEL = re.compile(rf"^(?={_NAME})", re.MULTILINE)
_LIKE_A_LABEL = re.compile(rf"^(?=\\*{_NAME})", re.MULTILINE)
_ESCAPED = re.compile(rf"^\\(?=\\*{_NAME})", re.MULTILINE)
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


@dataclass(frozen=True)
class Case:
    """Two answers to a prompt, which one a labeller should choose, and why."""

    prompt: str
    first: str
    second: str
    expected: str
    """As the outcome of a comparison that shows `first` as A."""
    why: str = ""

    @property
    def messages(self) -> tuple[dict[str, str], ...]:
        """Return the prompt as the one turn that it is."""
        return ({"role": "user", "content": self.prompt},)

    @property
    def digest(self) -> str:
        """Return a hash of the three texts: what a reward model scores."""
        texts = json.dumps([self.prompt, self.first, self.second], ensure_ascii=True)
        return hashlib.sha256(texts.encode("ascii")).hexdigest()


@dataclass(frozen=True)
class Clause:
    """A heading with what stands below it, up to the next heading of any level."""

    slug: str
    title: str
    body: str
    """The source, heading and cases included: a clause changed if this did."""
    cases: list[Case] = field(default_factory=list)
    end: int = field(default=0, compare=False)
    """The line of the text that follows it."""


class CaseError(ValueError):
    """A block that is no case. Its message is a sentence for the person who wrote it."""


def clauses_of(text: str) -> tuple[list[Clause], list[str]]:
    """Return the clauses of a text in order, and a sentence for each case that cannot be one.

    What stands before the first heading is the introduction; an empty text has no clauses. Two
    clauses of one name are told apart by a number.

    >>> [clause.title for clause in clauses_of("Hello\\n\\n# Be fair\\n\\n## Read both\\n")[0]]
    ['Introduction', 'Be fair', 'Read both']
    """
    lines = text.split("\n")
    tokens = _MARKDOWN.parse(text)
    starts: list[tuple[int, str]] = [(0, "Introduction")]
    blocks: list[tuple[int, str]] = []
    for at, token in enumerate(tokens):
        line = token.map[0] if token.map else 0
        if token.type == "heading_open" and token.level == 0:
            starts.append((line, _plain(tokens[at + 1].children or [])))
        elif token.type == "fence" and is_case(token.info):
            blocks.append((line, token.content))
    clauses: list[Clause] = []
    errors: list[str] = []
    ends = [line for line, _ in starts[1:]] + [len(lines)]
    for (start, title), end in zip(starts, ends, strict=True):
        body = "\n".join(lines[start:end]).strip("\n")
        if not body.strip():
            continue
        cases: list[Case] = []
        for line, content in blocks:
            if start <= line < end:
                try:
                    cases.append(read_case(content))
                except CaseError as error:
                    errors.append(f"The case in line {line + 1}: {error}")
        slug = _free_slug(title, clauses)
        clauses.append(Clause(slug, title[:MAX_TITLE_CHARS], body, cases, end))
    if (count := sum(len(clause.cases) for clause in clauses)) > MAX_CASES:
        errors.append(f"There are {count} cases, and at most {MAX_CASES} fit. Leave some out.")
    return clauses, errors


def is_case(info: str) -> bool:
    """Say whether a fenced block is meant to be a case."""
    return info.strip().lower() == "case"


def read_case(content: str) -> Case:
    """Return the case that a block describes. Raise CaseError for what cannot be one."""
    values = dict.fromkeys(LABELS, "")
    parts = [part for part in _LABEL.split(content) if part.strip()]
    seen: list[str] = []
    for part in parts:
        label, _, value = part.partition("\n")
        label = label.strip()
        if label not in values:
            raise CaseError(f"Begin it with {LABELS[0]} in a line of its own.")
        if label in seen:
            raise CaseError(
                f"{label} stands in it twice. Write \\{label} where it is part of a text."
            )
        seen.append(label)
        values[label] = _ESCAPED.sub("", value).strip("\n")
    prompt, first, second, expected, why = (values[label] for label in LABELS)
    for label, value in zip(LABELS[:4], (prompt, first, second, expected), strict=True):
        if not value.strip():
            raise CaseError(f"There is nothing under {label}. Write it in the line below.")
    outcome = EXPECTED.get(" ".join(expected.lower().split()))
    if outcome is None:
        raise CaseError("Write A, B, tie or both bad under [expected].")
    if same_words(first) == same_words(second):
        raise CaseError("Both answers are the same, so there is nothing to choose. Change one.")
    for label, value, most in zip(
        (*LABELS[:3], "[why]"),
        (prompt, first, second, why),
        (MAX_PROMPT_CHARS, MAX_COMPLETION_CHARS, MAX_COMPLETION_CHARS, MAX_WHY_CHARS),
        strict=True,
    ):
        if len(value) > most:
            raise CaseError(
                f"{label} is {len(value):,} characters long, and at most {most:,} fit. Shorten it."
            )
    return Case(prompt, first, second, outcome, why)


def write_case(case: Case) -> str:
    """Return a case as the block that `read_case` reads, with its fences.

    >>> case = Case("Rain.", "a", "b", "left")
    >>> clauses_of(write_case(case))[0][0].cases == [case]
    True
    """
    words = next(word for word, outcome in EXPECTED.items() if outcome == case.expected)
    values = (case.prompt, case.first, case.second, words.upper() if len(words) == 1 else words)
    parts = [*zip(LABELS[:4], values, strict=True), *([(LABELS[4], case.why)] if case.why else [])]
    content = "\n".join(
        f"{label}\n{_LIKE_A_LABEL.sub(_backslash, value)}" for label, value in parts
    )
    longest = max((len(run) for run in re.findall(r"`+", content)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}case\n{content}\n{fence}\n"


def add_case(text: str, slug: str, case: Case) -> str:
    """Return a text with one more case at the end of a clause, by default of the last one.

    >>> text = add_case("# A\\n\\n# B\\n", "a", Case("Rain.", "a", "b", "left"))
    >>> [(clause.title, len(clause.cases)) for clause in clauses_of(text)[0]]
    [('A', 1), ('B', 0)]
    """
    lines = text.split("\n")
    ends = {clause.slug: clause.end for clause in clauses_of(text)[0]}
    end = ends.get(slug, len(lines))
    before = "\n".join(lines[:end]).rstrip("\n")
    after = "\n".join(lines[end:]).strip("\n")
    parts = [part for part in (before, write_case(case).rstrip("\n"), after) if part]
    return "\n\n".join(parts) + "\n"


def changed_clauses(old: str, new: str) -> tuple[list[Clause], list[Clause]]:
    """Return the clauses of `new` that are new or changed, and those of `old` that are gone."""
    before = {clause.slug: clause for clause in clauses_of(old)[0]}
    after = {clause.slug: clause for clause in clauses_of(new)[0]}
    changed = [
        clause
        for slug, clause in after.items()
        if slug not in before or same_words(before[slug].body) != same_words(clause.body)
    ]
    return changed, [clause for slug, clause in before.items() if slug not in after]


def _backslash(_match: re.Match[str]) -> str:
    return "\\"


def _plain(children: Sequence[Token]) -> str:
    words = "".join(child.content or " " * (child.type == "softbreak") for child in children)
    return words.strip() or "Untitled"


def _free_slug(title: str, taken: Iterable[Clause]) -> str:
    slug = re.sub(r"[\W_]+", "-", title.lower()).strip("-")[:MAX_TITLE_CHARS] or "untitled"
    known = {clause.slug for clause in taken}
    number, free = 1, slug
    while free in known:
        number += 1
        free = f"{slug}-{number}"
    return free
