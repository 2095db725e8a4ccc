"""Which models a program may talk with, and what they are called there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.text import slugify

from training import access
from training.models import Checkpoint
from training.selectors.checkpoints import promoted_checkpoint

if TYPE_CHECKING:
    from annotations.models import ApiToken, Project


@dataclass(frozen=True)
class ServedModel:
    """A checkpoint under a name for programs."""

    name: str
    """`haiku` for the promoted checkpoint of the project Haiku, `haiku/ppo-7` for a certain one."""
    checkpoint: Checkpoint


def served_projects(token: ApiToken) -> dict[str, Project]:
    """Return the projects of a token that its owner still belongs to, by their names in models."""
    projects = access.get_served_projects_for(token.user).filter(id__in=token.projects.all())
    named: dict[str, Project] = {}
    for project in projects.order_by("id"):
        name = slugify(project.name) or f"project-{project.pk}"
        named[name if name not in named else f"{name}-{project.pk}"] = project
    return named


def served_models(token: ApiToken) -> list[ServedModel]:
    """Return every model that a program with this token may talk with."""
    engineered = access.get_engineered_ids_for(token.user)
    models: list[ServedModel] = []
    for name, project in served_projects(token).items():
        promoted = promoted_checkpoint(project)
        if promoted is not None:
            models.append(ServedModel(name, promoted))
        if project.pk in engineered:
            models += [
                ServedModel(f"{name}/{checkpoint.name}", checkpoint)
                for checkpoint in _policies(project)
            ]
    return models


def served_model(token: ApiToken, name: str) -> ServedModel | None:
    """Return the model of this name, if a program with this token may talk with it."""
    return next((model for model in served_models(token) if model.name == name), None)


def _policies(project: Project) -> list[Checkpoint]:
    checkpoints = Checkpoint.objects.filter(project=project.pk)
    return list(checkpoints.filter(kind__in=Checkpoint.ANSWERING))
