"""The only way a training page obtains an object.

Owners and engineers of a project see its training; for everybody else it does not exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import Http404
from django.shortcuts import get_object_or_404

from annotations import access
from annotations.models import ApiToken, Project, Recall, Role
from training.models import (
    Chat,
    ChatMessage,
    Checkpoint,
    DatasetSnapshot,
    Endpoint,
    Evaluation,
    Promotion,
    Push,
    Run,
    Webhook,
    WebhookMessage,
)
from training.selectors.arena import arena_of

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from annotations.models import Battle, Item, Membership, Ticket, User

ROLES = (Role.OWNER, Role.ENGINEER)
SERVED_ROLES = (*ROLES, Role.REVIEWER)
"""Who may let programs talk with the promoted model. Annotators may not: what they write is to be
their own, and a program that writes like the model would be at hand."""
ROLES_BESIDE_THE_QUEUE = (*ROLES, Role.REVIEWER)
"""Those who may know which checkpoint is ahead: labellers would not be blind any more."""


def get_project_for(user: User, project_id: int) -> Project:
    """Return the project if the user trains in it, else raise Http404."""
    return access.get_project_for(user, project_id, *ROLES)


def get_own_project_for(user: User, project_id: int) -> Project:
    """Return the project if the user owns it, else raise Http404."""
    return access.get_project_for(user, project_id, Role.OWNER)


def get_board_for(user: User, project_id: int) -> Project:
    """Return the project if the user may see its leaderboard, else raise Http404."""
    return access.get_project_for(user, project_id, *ROLES_BESIDE_THE_QUEUE)


def get_membership_for(user: User, project_id: int) -> Membership:
    """Return the user's membership in a project they were already let into."""
    return access.get_membership_for(user, project_id)


def get_arena_for(user: User, project_id: int) -> Membership:
    """Return the user's membership if they may ask in the project's arena, else raise Http404."""
    membership = access.get_membership_for(user, project_id)
    if membership.role not in ROLES and not arena_of(membership.project).is_open:
        raise Http404("The arena of this project is not open to this person.")
    return membership


def get_battle_for(user: User, battle_id: int) -> Battle:
    """Return the user's own battle in an arena that they may ask in, else raise Http404."""
    battle = access.get_battle_for(user, battle_id)
    get_arena_for(user, battle.project_id)
    return battle


def get_served_arena_for(user: User, project_id: int) -> Membership:
    """Return the membership of somebody whose programs may ask in the arena, else raise Http404.

    Annotators ask on its page alone, for the reason that `SERVED_ROLES` has.
    """
    membership = get_arena_for(user, project_id)
    if membership.role not in SERVED_ROLES:
        raise Http404("The arena of this project is not open to this person's programs.")
    return membership


def get_served_battle_for(user: User, battle_id: int) -> Battle:
    """Return the user's own battle, if their programs may ask in its arena, else raise Http404."""
    battle = access.get_battle_for(user, battle_id)
    get_served_arena_for(user, battle.project_id)
    return battle


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
    found = Checkpoint.objects.select_related(*related).defer("run__snapshot__annotation_ids")
    checkpoint = get_object_or_404(found, id=checkpoint_id)
    get_project_for(user, checkpoint.project_id)
    return checkpoint


def get_item_for(user: User, item_id: int) -> Item:
    """Return the item if the user trains in its project, else raise Http404."""
    return access.get_item_for(user, item_id, *ROLES)


def get_recall_for(user: User, recall_id: int) -> Recall:
    """Return the recall if the user trains in its project, else raise Http404."""
    related = ("project", "annotator", "guideline_version", "created_by", "lifted_by")
    recall = get_object_or_404(Recall.objects.select_related(*related), id=recall_id)
    get_project_for(user, recall.project_id)
    return recall


def get_own_recall_for(user: User, recall_id: int) -> Recall:
    """Return the recall if the user owns its project, else raise Http404."""
    recall = get_recall_for(user, recall_id)
    get_own_project_for(user, recall.project_id)
    return recall


def get_promotion_for(user: User, promotion_id: int) -> Promotion:
    """Return the promotion if the user trains in its project, else raise Http404."""
    related = ("project", "checkpoint", "restores")
    promotion = get_object_or_404(Promotion.objects.select_related(*related), id=promotion_id)
    get_project_for(user, promotion.project_id)
    return promotion


def get_ticket_for(user: User, ticket_id: int) -> Ticket:
    """Return the ticket if the user trains in its project, else raise Http404."""
    ticket = access.get_ticket_for(user, ticket_id)
    get_project_for(user, ticket.project_id)
    return ticket


def get_evaluation_for(user: User, evaluation_id: int) -> Evaluation:
    """Return the evaluation if the user trains in its project, else raise Http404."""
    related = ("project", "child", "parent", "run")
    evaluation = get_object_or_404(Evaluation.objects.select_related(*related), id=evaluation_id)
    get_project_for(user, evaluation.project_id)
    return evaluation


def get_served_projects_for(user: User) -> QuerySet[Project]:
    """Return the projects with whose promoted model a person's programs may talk, by name."""
    memberships = access.get_projects_for(user).filter(role__in=SERVED_ROLES)
    ids = memberships.values_list("project_id", flat=True)
    return Project.objects.filter(id__in=list(ids)).order_by("name", "id")


def get_member_projects_for(user: User) -> QuerySet[Project]:
    """Return the projects that a person's tokens may reach, by name."""
    ids = access.get_projects_for(user).values_list("project_id", flat=True)
    return Project.objects.filter(id__in=list(ids)).order_by("name", "id")


def get_engineered_ids_for(user: User) -> set[int]:
    """Return the projects with any of whose checkpoints a person's programs may talk."""
    memberships = access.get_projects_for(user).filter(role__in=ROLES)
    return set(memberships.values_list("project_id", flat=True))


def get_api_tokens_for(user: User) -> QuerySet[ApiToken]:
    """Return one's own tokens with their projects, the newest first."""
    return ApiToken.objects.filter(user=user).prefetch_related("projects")


def get_api_token_for(user: User, token_id: int) -> ApiToken:
    """Return one's own token, else raise Http404."""
    return get_object_or_404(ApiToken, id=token_id, user=user)


def get_chat_for(user: User, chat_id: int) -> Chat:
    """Return one's own chat in a project that one still trains in, else raise Http404."""
    own = Chat.objects.filter(person_id=user.pk or 0).select_related("project", "left", "right")
    chat = get_object_or_404(own, id=chat_id)
    get_project_for(user, chat.project_id)
    return chat


def get_reply_for(user: User, reply_id: int) -> ChatMessage:
    """Return a reply in one's own chat, else raise Http404."""
    replies = ChatMessage.objects.filter(role=ChatMessage.Role.ASSISTANT)
    reply = get_object_or_404(replies.select_related("checkpoint"), id=reply_id)
    reply.chat = get_chat_for(user, reply.chat_id)
    return reply


def get_endpoint_for(user: User, endpoint_id: int) -> Endpoint:
    """Return the endpoint if the user trains in its project, else raise Http404."""
    endpoints = Endpoint.objects.select_related("checkpoint__project", "created_by")
    endpoint = get_object_or_404(endpoints, id=endpoint_id)
    get_project_for(user, endpoint.checkpoint.project_id)
    return endpoint


def get_webhook_for(user: User, webhook_id: int) -> Webhook:
    """Return the webhook if the user trains in its project, else raise Http404."""
    webhook = get_object_or_404(Webhook.objects.select_related("project"), id=webhook_id)
    get_project_for(user, webhook.project_id)
    return webhook


def get_webhook_message_for(user: User, message_id: int) -> WebhookMessage:
    """Return the message if the user trains in its webhook's project, else raise Http404."""
    found = WebhookMessage.objects.select_related("webhook__project")
    message = get_object_or_404(found, id=message_id)
    get_project_for(user, message.webhook.project_id)
    return message


def get_push_for(user: User, push_id: int) -> Push:
    """Return the push if the user trains in its project, else raise Http404."""
    related = ("project", "checkpoint", "snapshot", "started_by")
    push = get_object_or_404(Push.objects.select_related(*related), id=push_id)
    get_project_for(user, push.project_id)
    return push
