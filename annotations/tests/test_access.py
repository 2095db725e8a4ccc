"""What a person may not see does not exist."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import Http404

from annotations import access, services
from annotations.models import Kind, Membership, Role, User
from annotations.tests.factories import make_assignment, make_item, make_prompt


def test_it_finds_a_project_for_its_members(project, alice, bob):
    assert access.get_project_for(bob, project.pk) == project
    assert access.get_project_for(alice, project.pk, Role.OWNER, Role.ENGINEER) == project
    assert [one.project for one in access.get_projects_for(bob)] == [project]


def test_it_hides_a_project_from_others(project, bob, charlie):
    root = User.objects.create_superuser("root")
    for user in (charlie, root, AnonymousUser()):
        with pytest.raises(Http404):
            access.get_project_for(user, project.pk)
        assert not access.get_projects_for(user).exists()
    with pytest.raises(Http404):
        access.get_project_for(bob, project.pk, Role.OWNER)
    for missing in (0, 10**30):
        with pytest.raises(Http404):
            access.get_project_for(bob, missing)
        with pytest.raises(Http404):
            access.get_assignment_for(bob, missing)


def test_it_hides_a_project_from_paused_members_but_not_their_open_work(project, bob):
    assignment = make_assignment(make_item(project), bob)
    Membership.objects.filter(user=bob).update(state=Membership.State.PAUSED)
    with pytest.raises(Http404):
        access.get_project_for(bob, project.pk)
    assert access.get_assignment_for(bob, assignment.pk) == assignment


def test_it_shows_assignments_to_their_annotators_alone(project, bob, bea, alice):
    assignment = make_assignment(make_item(project), bob)
    for user in (bea, alice, AnonymousUser()):
        with pytest.raises(Http404):
            access.get_assignment_for(user, assignment.pk)
    services.remove_member(project.memberships.get(user=bob))
    with pytest.raises(Http404):
        access.get_assignment_for(bob, assignment.pk)


def test_it_shows_guidelines_to_members_alone(project, alice, bob, charlie):
    published = services.publish_guideline(project, Kind.RANKING, "# Done", alice)
    assert access.get_guideline_version_for(bob, published.pk) == published
    with pytest.raises(Http404):
        access.get_guideline_version_for(charlie, published.pk)


def test_it_finds_prompts_and_members_by_role(project, alice, bob, charlie):
    prompt, membership = make_prompt(project), project.memberships.get(user=bob)
    assert access.get_prompt_for(alice, prompt.pk, Role.OWNER) == prompt
    assert access.get_member_for(alice, membership.pk, Role.OWNER) == membership
    for user in (bob, charlie):
        with pytest.raises(Http404):
            access.get_prompt_for(user, prompt.pk, Role.OWNER)
        with pytest.raises(Http404):
            access.get_member_for(user, membership.pk, Role.OWNER)
