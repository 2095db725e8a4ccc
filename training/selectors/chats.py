"""What the pages of chats read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db.models import QuerySet

from training.models import Chat, ChatMessage, Checkpoint

if TYPE_CHECKING:
    from annotations.models import Project, User

CHATS_SHOWN = 50


@dataclass
class Turn:
    """A message and the replies to it, the left one first."""

    message: ChatMessage
    is_last: bool = False
    replies: list[ChatMessage] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Return whether a reply is still to come."""
        return any(reply.is_open for reply in self.replies)


def checkpoints_that_chat(project_id: int) -> QuerySet[Checkpoint]:
    """Return the checkpoints of a project that can be talked to, the newest first."""
    return Checkpoint.objects.filter(project=project_id, kind__in=Checkpoint.STREAMING)


def chats_of(project: Project, person: User) -> QuerySet[Chat]:
    """Return a person's own chats, the one they wrote in last first."""
    return Chat.objects.filter(project=project, person=person).select_related("left", "right")


def turns_of(chat: Chat) -> list[Turn]:
    """Return what is in force in a chat, oldest first."""
    turns: dict[int, Turn] = {}
    current = chat.messages.filter(is_current=True).select_related("checkpoint", "praise")
    for message in current.order_by("turn", "side"):
        if message.role == ChatMessage.Role.USER:
            turns[message.turn] = Turn(message)
        else:
            turns[message.turn].replies.append(message)
    found = list(turns.values())
    if found:
        found[-1].is_last = True
    return found
