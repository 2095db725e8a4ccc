"""The labelling configuration under which Label Studio shows the exported tasks of one kind.

The names of its controls are those of the results in the tasks: under others it shows none.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as ET

from django.db.models import Count, Max

from annotations.exports.label_studio import PROMPT
from annotations.models import Comparison, Kind, Project, Question

Element = ET.Element


def label_config(project: Project, kind: str) -> str:
    """Return the configuration for the tasks of one kind of work."""
    view = ET.Element("View")
    keys = {"nameKey": "role", "textKey": "content"}
    _add(view, "Paragraphs", PROMPT, value=f"${PROMPT}", layout="dialogue", **keys)
    match kind:
        case Kind.COMPARISON:
            _compare(view)
        case Kind.RANKING:
            _add(view, "List", "items", value="$items", title="Completions")
            ranker = _add(view, "Ranker", "ranking", toName="items")
            most = _most_shown(project, kind)
            for place in range(1, most + 1):
                _add(ranker, "Bucket", f"tier_{place}", title=str(place))
            if project.rating_schemes.filter(before_ranking=True).exists():
                _rate(view, project, most)
        case Kind.RATING:
            _rate(view, project, _most_shown(project, kind))
        case Kind.REWRITE:
            _add(view, "Text", "answer", value="$answer")
            _add(view, "TextArea", "rewrite", toName="answer")
        case _:
            _add(view, "TextArea", "answer", toName=PROMPT)
    _add(view, "TextArea", "reason", toName=PROMPT, placeholder="Why?")
    ET.indent(view)
    return ET.tostring(view, encoding="unicode") + "\n"


def _add(parent: Element, tag: str, name: str, **attributes: str) -> Element:
    return ET.SubElement(parent, tag, {"name": name, **attributes})


def _choices(view: Element, name: str, about: str, choices: Iterable[str]) -> None:
    control = _add(view, "Choices", name, toName=about, choice="single", showInline="true")
    for one in choices:
        ET.SubElement(control, "Choice", value=one)


def _compare(view: Element) -> None:
    _add(view, "Pairwise", "comparison", toName="answer1,answer2")
    for name in ("answer1", "answer2"):
        _add(view, "Text", name, value=f"${name}")
    undecided = (Comparison.Outcome.TIE.value, Comparison.Outcome.BOTH_BAD.value)
    _choices(view, "verdict", PROMPT, undecided)
    _choices(view, "strength", PROMPT, Comparison.Strength.values)


def _rate(view: Element, project: Project, most: int) -> None:
    """Ask about each completion whatever was ever asked in the project."""
    asked: dict[str, Question] = {}
    points: dict[str, int] = {}
    published = project.rating_schemes.filter(published_at__isnull=False)
    for question in (one for scheme in published.order_by("version") for one in scheme.questions):
        name = question["name"]
        asked[name] = question
        points[name] = max(points.get(name, 0), question["points"])
    for place in range(most):
        about = f"answer{place + 1}"
        _add(view, "Text", about, value=f"$items[{place}].body")
        for name, question in asked.items():
            ET.SubElement(view, "Header", value=question["text"], size="5")
            if question["form"] == "flag":
                _choices(view, f"{name}-{about}", about, (name, f"not {name}"))
            else:
                most_points = str(points[name])
                _add(view, "Rating", f"{name}-{about}", toName=about, maxRating=most_points)


def _most_shown(project: Project, kind: str) -> int:
    shown = project.items.filter(kind=kind).annotate(shown=Count("completions"))
    most: int | None = shown.aggregate(most=Max("shown"))["most"]
    return most or 1
