"""A bad reply in a chat becomes a ticket."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from annotations.models import Project, Ticket, User
from training.models import Chat, ChatMessage
from training.tests.factories import make_checkpoint

SCRIPTED = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def reply(project: Project, eve: User) -> ChatMessage:
    policy = make_checkpoint(project, name="sft-1")
    chat = Chat.objects.create(
        project=project,
        person=eve,
        title="A frog?",
        left=policy,
        temperature=1.0,
        top_p=1.0,
        max_new_tokens=16,
    )
    ChatMessage.objects.create(chat=chat, turn=0, role="user", text="A frog?")
    return ChatMessage.objects.create(
        chat=chat,
        turn=0,
        role="assistant",
        side="left",
        checkpoint=policy,
        text="frogs frogs",
        seed=1,
        sampling={"temperature": 1.0, "top_p": 1.0, "max_new_tokens": 16},
    )


def test_a_reply_is_reported_with_its_conversation(
    client: Client, reply: ChatMessage, eve: User
) -> None:
    client.force_login(eve)
    url = reverse("training:report_reply", args=[reply.pk])
    assert url in client.get(reverse("training:chat", args=[reply.chat_id])).text
    refused = client.post(url, {"reason": "boring"}, **SCRIPTED)
    assert refused.status_code == 422
    assert "Choose what is wrong" in refused.text
    told = client.post(url, {"reason": "repeats", "words": "again"}, **SCRIPTED)
    assert "Reported" in told.text
    assert f'id="report-{reply.pk}"' in told.text
    completion = Ticket.objects.get().completion
    assert (completion.text, completion.checkpoint) == ("frogs frogs", reply.checkpoint)
    assert completion.prompt.messages == [{"role": "user", "content": "A frog?"}]
    assert client.post(url, {"reason": "repeats"}).status_code == 302
    assert Ticket.objects.count() == 1


def test_only_whose_chat_it_is_reports_from_it(
    client: Client, reply: ChatMessage, alice: User, eve: User
) -> None:
    url = reverse("training:report_reply", args=[reply.pk])
    client.force_login(alice)
    assert client.post(url, {"reason": "repeats"}).status_code == 404
    client.force_login(eve)
    assert client.get(url).status_code == 405
    ChatMessage.objects.filter(id=reply.pk).update(state="writing")
    assert client.post(url, {"reason": "repeats"}, **SCRIPTED).status_code == 422
    assert not Ticket.objects.exists()
