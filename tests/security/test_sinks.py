"""Places where a text could become code. Each that there is stands here, with why it is safe.

Whoever needs another one writes its reason down; whoever removes one removes its line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)

IN_PYTHON = {
    "safe html": r"\b(mark_safe|SafeString|SafeText|format_html_join|html_safe)\s*\(|__html__",
    "code": r"(?<![\w.])(eval|exec|compile|__import__)\s*\(",
    "pickle": r"\b(pickle|cPickle|dill|shelve|marshal|joblib|cloudpickle)\b",
    "yaml": r"\byaml\.(unsafe_|full_)?load",
    "torch.load": r"\btorch\.load\s*\(|\bnp\.load\s*\(|allow_pickle",
    "remote code": r"trust_remote_code\s*=\s*(?!False)",
    "shell": r"shell\s*=\s*True|\bos\.(system|popen)\s*\(|getoutput",
    "raw sql": r"\.extra\s*\(|\bRawSQL\b|\.raw\s*\(|cursor\.(?:execute(?:many)?|copy)\s*\("
    r"|schema_editor\.execute\(",
    "no csrf": r"\bcsrf_exempt\b",
    "look-ups from outside": r"(filter|exclude|get|Q|order_by)\(\*+\s*request\.",
    "address": r"\burlopen\s*\(|\brequests\.(get|post|Session)\b|\bhttpx\.\w",
}
IN_TEMPLATES = {
    "safe html": r"\|\s*(safe|safeseq)\b|\{%\s*autoescape\s+off",
    "inline script": r"<script(?![^>]*\bsrc=)|\son[a-z]+\s*=\s*[\"']|javascript:|\bhx-on\b",
    "inline style": r"\sstyle\s*=\s*[\"']|<style\b",
    "unquoted attribute": r"<[^>]*\s[\w-]+=\{\{",
    "elsewhere": r"(src|href|action)=[\"']https?://",
}
IN_SCRIPTS = {
    "html": r"\.(inner|outer)HTML\b|insertAdjacentHTML|document\.write|createContextualFragment",
    "parsed html": r"\bDOMParser\b|\bsrcdoc\b",
    "code": r"(?<![\w.])eval\s*\(|new\s+Function\s*\(|set(Timeout|Interval)\s*\(\s*[\"'`]",
}

SAFE = {
    # Python
    ("training/templatetags/training.py", "safe html"): (
        3,
        "drawings: numbers, and names that `training.charts` escapes where it draws them",
    ),
    ("training/views/loop.py", "safe html"): (1, "a drawing, as above"),
    ("annotations/templatetags/agreement.py", "safe html"): (1, "a drawing, as above"),
    ("annotations/templatetags/navigation.py", "safe html"): (1, "a constant attribute"),
    ("annotations/forms/tickets.py", "safe html"): (1, "a constant sentence"),
    ("annotations/kept.py", "pickle"): (
        2,
        "names the errors of Django's cache of files, which lies in a folder of the owner's own",
    ),
    ("labelstudio_llm/shared_cache.py", "pickle"): (
        5,
        "what lies in Redis is read only if it was signed with SECRET_KEY",
    ),
    ("training/pipeline/checkpoints.py", "pickle"): (1, "the suffixes that are refused"),
    ("annotations/prepared.py", "raw sql"): (
        3,
        "what Django's compiler wrote, and names of our own tables and columns, quoted",
    ),
    ("annotations/services/many_rows.py", "raw sql"): (
        4,
        "constant statements, and names of our own tables and columns, quoted",
    ),
    ("annotations/services/growth.py", "raw sql"): (
        2,
        "a constant statement, and names of tables as the database has them, quoted",
    ),
    ("labelstudio_llm/doctor.py", "raw sql"): (4, "constant statements"),
    ("labelstudio_llm/readiness.py", "raw sql"): (1, "a constant statement"),
    ("annotations/exports/state.py", "raw sql"): (3, "constant statements"),
    ("labelstudio_llm/backups/tables.py", "raw sql"): (
        15,
        "constant statements, and names of our own tables and columns, quoted",
    ),
    ("training/views/serving.py", "no csrf"): (3, "programs show a token; no session counts there"),
    ("annotations/api/guard.py", "no csrf"): (3, "programs show a token, as above"),
    ("training/management/commands/run_loop.py", "address"): (1, "its own address"),
    # Templates
    ("templates/annotations/_text.html", "safe html"): (1, "`markdown.render_answer`"),
    ("templates/annotations/_guidelines_panel.html", "safe html"): (1, "`markdown.render`, saved"),
    ("templates/annotations/acknowledge.html", "safe html"): (1, "`markdown.render`, saved"),
    ("templates/annotations/guideline.html", "safe html"): (1, "`markdown.render`, saved"),
    ("templates/annotations/judge_test.html", "safe html"): (1, "`markdown.render`, saved"),
    ("templates/annotations/_guideline_preview.html", "safe html"): (1, "`markdown.render`"),
    # Scripts
    ("static/js/requests.js", "parsed html"): (
        1,
        "a page of ours, read and not shown: what a parser makes runs no script",
    ),
}


def files(*patterns: str) -> Iterator[Path]:
    """Yield what takes anything from people: no tests, no migrations, nothing by others."""
    for pattern in patterns:
        for path in sorted(ROOT.glob(pattern)):
            parts = set(path.relative_to(ROOT).parts)
            if not parts & {"tests", "vendor", "bench", "migrations"}:
                yield path


def code_of(path: Path) -> str:
    """Return what is in a file, of Python without comments and docstrings."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return text
    return re.sub(r'"""(?s:.*?)"""|(?m:^\s*#.*$)', "", text)


def found() -> Counter[tuple[str, str]]:
    """Return how often each sort of place is in each file."""
    python = files("annotations/**/*.py", "training/**/*.py", "labelstudio_llm/**/*.py")
    counts: Counter[tuple[str, str]] = Counter()
    for paths, sorts in (
        (python, IN_PYTHON),
        (files("templates/**/*.html"), IN_TEMPLATES),
        (files("static/js/**/*.js"), IN_SCRIPTS),
    ):
        any_of_them = re.compile("|".join(sorts.values()))
        for path in paths:
            text = code_of(path)
            if any_of_them.search(text):
                for sort, pattern in sorts.items():
                    counts[str(path.relative_to(ROOT)), sort] += len(re.findall(pattern, text))
    return +counts


def test_each_place_where_a_text_could_become_code_has_its_reason() -> None:
    assert found() == {place: number for place, (number, _) in SAFE.items()}


def test_it_finds_such_places() -> None:
    """The patterns themselves find what they are for."""
    dangerous = {
        "safe html": "mark_safe(text)",
        "code": "x = eval(text)",
        "pickle": "pickle.loads(data)",
        "yaml": "yaml.load(file)",
        "torch.load": "torch.load(path)",
        "remote code": "from_pretrained(name, trust_remote_code=True)",
        "shell": "run(text, shell=True)",
        "raw sql": "cursor.execute(f'SELECT {name}')",
        "no csrf": "@csrf_exempt",
        "look-ups from outside": "objects.filter(**request.GET.dict())",
        "address": "urlopen(url)",
    }
    assert set(dangerous) == set(IN_PYTHON)
    for sort, code in dangerous.items():
        assert re.search(IN_PYTHON[sort], code), sort
    assert not re.search(IN_PYTHON["code"], "model.eval()")
    assert re.search(IN_TEMPLATES["inline script"], "<script>go()</script>")
    assert re.search(IN_TEMPLATES["inline script"], '<a onclick="go()">')
    assert not re.search(IN_TEMPLATES["inline script"], '<script src="a.js">')
    assert re.search(IN_TEMPLATES["unquoted attribute"], "<a href={{ url }}>")
    assert re.search(IN_SCRIPTS["html"], "place.innerHTML = text")
