"""A statement that is put together once does what one does that is put together each time."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Count, QuerySet
from django.db.models.functions import Upper
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotations import queue
from annotations.models import Membership, Project, Prompt, Role, User
from annotations.prepared import Prepared, PreparedUpdate, Slot, insert
from annotations.selectors import progress, progress_at_work
from annotations.services import submit_comparison
from annotations.tests.factories import make_item, make_prompt


def prompts_of(newest_first: bool, *, project: Slot, text: Slot) -> QuerySet[Prompt]:
    found = Prompt.objects.filter(project=project).exclude(text=text)
    found = found.select_related("project").annotate(others=Count("completions"))
    return found.order_by("-id" if newest_first else "id")


def test_it_answers_with_other_values_and_in_other_forms_each_time(
    project: Project, alice: User
) -> None:
    other_project = Project.objects.create(name="Others", created_by=alice)
    first, second = (make_prompt(project, text) for text in ("one", "two"))
    third = make_prompt(other_project, "three")
    prepared = Prepared(prompts_of, "project", "text")
    assert prepared(False, project=project.pk, text="") == [first, second]
    assert prepared(True, project=project.pk, text="") == [second, first]
    assert prepared(False, project=project.pk, text="one") == [second]
    with CaptureQueriesContext(connection) as asked:
        (found,) = prepared(False, project=other_project.pk, text="")
        assert (found, found.project, found.others) == (third, other_project, 0)
    assert len(asked) == 1
    later = make_prompt(project, "four")
    assert prepared.first(True, project=project.pk, text="") == later
    assert prepared.first(True, project=0, text="") is None


def test_what_no_row_can_have_is_nowhere(project: Project) -> None:
    prepared = Prepared(lambda *, id: Project.objects.filter(id=id), "id")
    assert prepared(id=project.pk) == [project]
    assert prepared(id=10**30) == []
    impossible = Prepared(lambda ids, *, id: Project.objects.filter(id=id, id__in=ids), "id")
    assert impossible((), id=project.pk) == []
    assert impossible((project.pk,), id=project.pk) == [project]


def test_a_page_of_work_counts_up_to_its_limit_and_then_knows(
    project: Project, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_PLENTY_UNTIL", {})
    monkeypatch.setattr(progress, "WORK_LIMIT", 2)
    for _ in range(4):
        make_item(project)

    def waiting() -> int:
        return progress_at_work(bob, project, "comparison").waiting["comparison"]

    def hand_in() -> None:
        assignment = queue.lease_next(bob, project, "comparison")
        assert assignment is not None
        submit_comparison(assignment, "left", "better")

    assert waiting() == 2
    hand_in()
    with CaptureQueriesContext(connection) as asked:
        assert waiting() == 2
    assert len(asked) == 1  # what was handed in today
    hand_in()
    hand_in()
    monkeypatch.setattr(progress, "PLENTY_SECONDS", 0)
    progress._PLENTY_UNTIL.clear()
    assert waiting() == 1
    hand_in()
    assert (waiting(), progress_at_work(bob, project, "comparison").done_today) == (0, 4)


def renamed(
    upper: bool, *, project: Slot, name: Slot
) -> tuple[QuerySet[Project], dict[str, object]]:
    return Project.objects.filter(id=project), {"name": Upper(name) if upper else name}


def test_an_update_changes_its_rows_alone_and_says_what_they_became(
    project: Project, alice: User
) -> None:
    other = Project.objects.create(name="Other", created_by=alice)
    update = PreparedUpdate(renamed, "project", "name", returning=("pk", "name", "created_at"))
    assert update(False, project=project.pk, name="new") == [
        (project.pk, "new", project.created_at)
    ]
    assert update(True, project=other.pk, name="new") == [(other.pk, "NEW", other.created_at)]
    assert update(False, project=0, name="nobody's") == []
    assert set(Project.objects.values_list("name", flat=True)) == {"new", "NEW"}


def test_a_row_is_inserted_as_it_would_be_saved(project: Project, bob: User) -> None:
    Membership.objects.filter(user=bob).delete()
    marks = {"comparison": {"0": 7}}
    before = timezone.now()
    row = Membership(project=project, user=bob, role=Role.ANNOTATOR, queue_marks=marks)
    with CaptureQueriesContext(connection) as asked:
        assert insert(row)
    assert len(asked) == 1
    stored = Membership.objects.get(id=row.pk)
    for field in Membership._meta.concrete_fields:
        assert getattr(stored, field.attname) == getattr(row, field.attname)
    assert stored.created_at >= before
    row.state = Membership.State.PAUSED
    row.save()  # it knows that it is stored
    assert Membership.objects.filter(user=bob).count() == 1


def test_what_is_there_already_is_not_inserted_again(project: Project, bob: User) -> None:
    Membership.objects.filter(user=bob).delete()
    assert insert(Membership(project=project, user=bob, role=Role.ANNOTATOR), unless_there=True)
    assert not insert(Membership(project=project, user=bob, role=Role.ANNOTATOR), unless_there=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(Membership(project=project, user=bob, role=Role.ANNOTATOR))
    assert Membership.objects.filter(user=bob).count() == 1
