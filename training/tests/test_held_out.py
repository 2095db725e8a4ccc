"""Nothing by somebody held out is ever in a snapshot."""

from __future__ import annotations

import json
from typing import Any

import pytest

from annotations import services as annotating
from annotations.exports import pseudonym
from annotations.models import Project, User
from annotations.tests.test_people import work
from training import artifacts, services
from training.models import DatasetSnapshot


@pytest.mark.parametrize("content", DatasetSnapshot.Content.values)
@pytest.mark.parametrize("filters", [{}, {"limit": 3}])
def test_a_snapshot_has_nothing_by_somebody_held_out(
    project: Project, alice: User, bob: User, bea: User, content: str, filters: dict[str, Any]
) -> None:
    bobs = {annotation.pk for annotation in [*work(project, bob), *work(project, bob)]}
    work(project, bea)
    annotating.hold_out(project, bob, alice)
    if content == "preferences":
        filters = {**filters, "ties": True}
    snapshot = services.freeze_snapshot(project, content, created_by=alice, filters=filters)
    rows = [json.loads(line) for line in artifacts.snapshot_rows(snapshot).open()]
    assert rows
    assert pseudonym(bob.pk) not in {row.get("annotator") for row in rows}
    assert not bobs & set(snapshot.annotation_ids)
