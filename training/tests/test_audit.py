"""The audit log: who did what, and why, for good."""

from __future__ import annotations

import pytest
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse

from annotations.models import Project, User
from training.models import AuditEntry
from training.services import ServiceError, promote_checkpoint, record
from training.tests.factories import make_checkpoint


def test_a_promotion_stands_in_the_log_with_its_reason(
    client: Client, project: Project, eve: User
) -> None:
    checkpoint = make_checkpoint(project, name="first")
    promote_checkpoint(checkpoint, promoted_by=eve, reason="It is <b>the</b> first.")
    entry = AuditEntry.objects.get()
    assert (entry.user, entry.action) == (eve, "promoted")
    assert (entry.subject_kind, entry.subject_id) == ("checkpoint", checkpoint.pk)
    client.force_login(eve)
    page = client.get(reverse("training:audit", args=[project.pk])).content.decode()
    assert "first promoted" in page
    assert "It is &lt;b&gt;the&lt;/b&gt; first." in page


def test_what_nobody_did_was_done_by_the_platform(client: Client, project: Project) -> None:
    record(project, None, "promoted", make_checkpoint(project), "The gate opened.", {"n": 40})
    assert AuditEntry.objects.get().facts == {"n": 40}
    client.force_login(project.created_by)
    page = client.get(reverse("training:audit", args=[project.pk])).content.decode()
    assert "by itself" in page


def test_it_refuses_an_act_without_a_reason(project: Project, eve: User) -> None:
    with pytest.raises(ServiceError, match="Say why"):
        record(project, eve, "promoted", make_checkpoint(project), " \n")
    with pytest.raises(IntegrityError, match="audit_says_why"):
        AuditEntry.objects.create(
            project=project, user=eve, action="x", subject_kind="x", subject_id=1, reason=""
        )


def test_an_entry_is_never_changed_or_deleted(project: Project, eve: User) -> None:
    entry = record(project, eve, "promoted", make_checkpoint(project), "Because.")
    entry.reason = "Something nicer."
    with pytest.raises(TypeError, match="never changed"):
        entry.save()
    with pytest.raises(TypeError, match="never deleted"):
        entry.delete()
    assert AuditEntry.objects.get().reason == "Because."
