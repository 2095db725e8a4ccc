"""The only way a training page obtains an object.

Owners and engineers of a project see its training; for everybody else it does not exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.shortcuts import get_object_or_404

from annotations import access
from annotations.models import Role
from training.models import Checkpoint, DatasetSnapshot, Evaluation, Run

if TYPE_CHECKING:
    from annotations.models import Membership, Project, User

ROLES = (Role.OWNER, Role.ENGINEER)


def get_project_for(user: User, project_id: int) -> Project:
    """Return the project if the user trains in it, else raise Http404."""
    return access.get_project_for(user, project_id, *ROLES)


def get_membership_for(user: User, project_id: int) -> Membership:
    """Return the user's membership in a project they were already let into."""
    return access.get_membership_for(user, project_id)


def get_snapshot_for(user: User, snapshot_id: int) -> DatasetSnapshot:
    """Return the snapshot if the user trains in its project, else raise Http404."""
    snapshot = get_object_or_404(DatasetSnapshot, id=snapshot_id)
    get_project_for(user, snapshot.project_id)
    return snapshot


def get_run_for(user: User, run_id: int) -> Run:
    """Return the run if the user trains in its project, else raise Http404."""
    related = ("project", "snapshot", "parent", "reward_checkpoint", "started_by")
    run = get_object_or_404(Run.objects.select_related(*related), id=run_id)
    get_project_for(user, run.project_id)
    return run


def get_checkpoint_for(user: User, checkpoint_id: int) -> Checkpoint:
    """Return the checkpoint if the user trains in its project, else raise Http404."""
    related = ("project", "parent", "run__snapshot", "run__reward_checkpoint")
    checkpoint = get_object_or_404(Checkpoint.objects.select_related(*related), id=checkpoint_id)
    get_project_for(user, checkpoint.project_id)
    return checkpoint


def get_evaluation_for(user: User, evaluation_id: int) -> Evaluation:
    """Return the evaluation if the user trains in its project, else raise Http404."""
    related = ("project", "child", "parent", "run")
    evaluation = get_object_or_404(Evaluation.objects.select_related(*related), id=evaluation_id)
    get_project_for(user, evaluation.project_id)
    return evaluation
