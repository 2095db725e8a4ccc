"""The names under which annotations leave a project, by which it knows them when they come back."""

from __future__ import annotations

from collections.abc import Iterable

from annotations.exports import origin_prefix
from annotations.models import Annotation, Project
from annotations.services.rules import chunks


def annotations_named(project: Project, names: Iterable[str]) -> set[str]:
    """Return those of the names that annotations of this project go by elsewhere."""
    prefix = origin_prefix(project)
    numbers = {
        int(name.removeprefix(prefix)): name
        for name in names
        if name.startswith(prefix) and name.removeprefix(prefix).isdecimal()
    }
    known: set[str] = set()
    for ids in chunks(numbers):
        found = Annotation.objects.filter(id__in=ids, item__project=project)
        known.update(numbers[number] for number in found.values_list("id", flat=True))
    return known
