"""Conversations through HTTP, step by step, with and without scripts."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotations import queue, services
from annotations.models import (
    Annotation,
    Assignment,
    Completion,
    Item,
    Kind,
    Project,
    Turn,
    User,
)
from annotations.selectors.turns import MAX_TURNS
from annotations.tests.factories import (
    make_assignment,
    make_item,
    make_prompt,
    make_replies,
)

HTMX = {"HTTP_HX_REQUEST": "true"}
HOSTILE = '<script>alert("x")</script>\n<img src=x onerror=alert(1)>'
STEPS = ["wait", "pick", "say", "failed", "full"]


@pytest.fixture
def conversation(project: Project, bob: User) -> Assignment:
    """Bob's, about a frog. It waits for its first replies."""
    prompt = make_prompt(project, "Tell me about frogs.")
    return make_assignment(make_item(project, Kind.CONVERSATION, prompt=prompt), bob)


def url_of(assignment: Assignment, name: str = "assignment") -> str:
    return reverse(f"annotations:{name}", args=[assignment.pk])


def submit(client: Client, assignment: Assignment, data: dict[str, Any], **headers: Any) -> Any:
    return client.post(url_of(assignment, "submit"), data, **headers)


def page(client: Client, assignment: Assignment) -> str:
    html: str = client.get(url_of(assignment)).text
    return html


def step_of(html: str) -> str:
    found = re.search(r'data-step="(\w+)"', html)
    assert found
    return found[1]


def bring_to(assignment: Assignment, step: str) -> None:
    """Bring a conversation that waits for its first replies to a step."""
    if step == "failed":
        (claimed,) = services.claim_waiting_turns(1)
        services.fail_turn(claimed.id, claimed.attempt, "Ask an engineer, then ask again.")
    if step in ("pick", "say", "full"):
        make_replies(assignment, "They jump.", "They croak.")
    if step in ("say", "full"):
        services.pick(assignment, 0, "left", "better")
    if step == "full":
        for number in range(1, MAX_TURNS):
            services.say(assignment, number, f"Message {number}")
            make_replies(assignment)
            services.pick(assignment, number, "tie")


# The steps


@pytest.mark.parametrize("step", STEPS)
def test_a_page_can_be_loaded_again_at_every_step(
    bobs: Client, conversation: Assignment, step: str
) -> None:
    bring_to(conversation, step)
    html = page(bobs, conversation)
    assert step_of(html) == step
    said = f"Message {MAX_TURNS - 1}" if step == "full" else "Tell me about frogs."
    assert f'data-prompt dir="auto">{said}</div>' in html


def test_it_goes_round_without_scripts(bobs: Client, conversation: Assignment) -> None:
    html = page(bobs, conversation)
    assert "Look again" in html
    assert "They jump." not in html
    make_replies(conversation, "They jump.", "They croak.")
    html = page(bobs, conversation)
    assert html.index("They jump.") < html.index("They croak.")
    response = submit(bobs, conversation, {"turn": "0", "choice": "right-better"})
    assert (response.status_code, response.url) == (303, url_of(conversation))
    html = page(bobs, conversation)
    assert "They croak." in html
    assert "They jump." not in html
    response = submit(bobs, conversation, {"turn": "1", "text": "How\r\nloud?"})
    assert (response.status_code, response.url) == (303, url_of(conversation))
    turn = conversation.turns.get(number=1)
    assert turn.prompt.text == "How\nloud?"
    assert "assistant" in page(bobs, conversation)
    response = submit(bobs, conversation, {"turn": "1", "end": "1"})
    assert response.status_code == 303
    (choice,) = Annotation.objects.get().conversation.choices.all()
    assert (choice.outcome, choice.strength) == ("right", "better")


def test_a_script_gets_the_next_step_as_the_answer(bobs: Client, conversation: Assignment) -> None:
    make_replies(conversation)
    response = submit(bobs, conversation, {"turn": "0", "choice": "tie"}, **HTMX)
    assert response.status_code == 200
    assert step_of(response.text) == "say"
    assert "Picked. What do you say next?" in response.text
    response = submit(bobs, conversation, {"turn": "1", "text": "How loud?"}, **HTMX)
    assert step_of(response.text) == "wait"
    assert 'hx-trigger="every 1s"' in response.text


def test_both_bad_waits_for_two_new_replies(bobs: Client, conversation: Assignment) -> None:
    make_replies(conversation)
    submit(bobs, conversation, {"turn": "0", "choice": "both_bad"})
    html = page(bobs, conversation)
    assert step_of(html) == "wait"
    assert "Turn 2 of" in html


def test_a_pick_can_be_taken_back(bobs: Client, conversation: Assignment) -> None:
    bring_to(conversation, "say")
    response = submit(bobs, conversation, {"turn": "0", "pick_again": "1"}, **HTMX)
    assert step_of(response.text) == "pick"


def test_a_failed_turn_says_why_and_is_asked_again(bobs: Client, conversation: Assignment) -> None:
    bring_to(conversation, "failed")
    html = page(bobs, conversation)
    assert "Ask an engineer, then ask again." in html
    response = submit(bobs, conversation, {"turn": "0", "again": "1"}, **HTMX)
    assert step_of(response.text) == "wait"
    again = submit(bobs, conversation, {"turn": "0", "again": "1"}, **HTMX)
    assert step_of(again.text) == "wait"


def test_a_full_conversation_can_only_be_ended(bobs: Client, conversation: Assignment) -> None:
    bring_to(conversation, "full")
    html = page(bobs, conversation)
    assert "textarea" not in html
    submit(bobs, conversation, {"turn": str(MAX_TURNS - 1), "end": "1"})
    assert Annotation.objects.get().conversation.choices.count() == MAX_TURNS


def test_the_end_leads_to_the_next_item_and_can_be_undone(
    bobs: Client, project: Project, conversation: Assignment
) -> None:
    make_item(project)
    bring_to(conversation, "say")
    data = {"turn": "1", "text": "Not sent yet", "end": "1"}
    response = submit(bobs, conversation, data, **HTMX)
    assert 'data-work="comparison"' in response.text
    assert "data-undo" in response.text
    response = bobs.post(url_of(conversation, "undo"), **HTMX)
    assert step_of(response.text) == "say"
    assert "Not sent yet</textarea>" in response.text


def test_the_next_item_opens_at_its_beginning_and_a_conversation_where_it_is(
    bobs: Client, project: Project, conversation: Assignment
) -> None:
    make_item(project)
    bring_to(conversation, "say")
    services.say(conversation, 1, "Again, please")
    make_replies(conversation)
    services.pick(conversation, 1, "tie")
    response = submit(bobs, conversation, {"turn": "2", "end": "1"}, **HTMX)
    assert response["HX-Reswap"] == "outerHTML show:window:top"
    response = bobs.post(url_of(conversation, "undo"), **HTMX)
    assert response["HX-Reswap"] == "outerHTML show:#prompt-name:top"


def test_it_says_that_it_is_not_corrected_later(bobs: Client, conversation: Assignment) -> None:
    bring_to(conversation, "say")
    annotation = services.submit_conversation(conversation)
    html = page(bobs, conversation)
    assert "not corrected later" in html
    assert "Take it back" in html
    correct = url_of(conversation, "correct")
    assert correct not in html
    assert (
        correct
        not in bobs.get(reverse("annotations:history", args=[conversation.item.project_id])).text
    )
    assert bobs.get(correct).url == url_of(conversation)
    data = {"turn": "1", "end": "1", "correcting": str(annotation.pk)}
    assert submit(bobs, conversation, data).url == url_of(conversation)
    assert Annotation.objects.count() == 1


def test_history_tells_what_was_said_and_picked(bobs: Client, conversation: Assignment) -> None:
    bring_to(conversation, "say")
    services.submit_conversation(conversation)
    html = bobs.get(url_of(conversation, "assignment_history")).text
    for words in ("Tell me about frogs.", "They jump.", "They croak.", "A is better"):
        assert words in html


# Looking for replies


def test_looking_says_nothing_while_nothing_is_new(bobs: Client, conversation: Assignment) -> None:
    seen = re.search(r"seen=([\w-]+)", page(bobs, conversation))
    assert seen
    url = url_of(conversation, "replies")
    assert bobs.get(url, {"seen": seen[1]}, **HTMX).status_code == 204
    (claimed,) = services.claim_waiting_turns(1)
    services.report_turn_progress(claimed.id, claimed.attempt, 40)
    response = bobs.get(url, {"seen": seen[1]}, **HTMX)
    assert 'value="40"' in response.text
    assert "HX-Retarget" not in response.headers


def test_looking_finds_the_replies(bobs: Client, conversation: Assignment) -> None:
    make_replies(conversation, "They jump.", "They croak.")
    response = bobs.get(url_of(conversation, "replies"), **HTMX)
    assert response["HX-Retarget"] == "#work"
    assert step_of(response.text) == "pick"
    assert "The replies are here. Which reply is better?" in response.text


def test_looking_says_when_nobody_is_at_work(bobs: Client, conversation: Assignment) -> None:
    url = url_of(conversation, "replies")
    assert "No sampling worker" not in bobs.get(url, **HTMX).text
    Turn.objects.update(asked_at=Now() - timedelta(seconds=21))
    response = bobs.get(url, **HTMX)
    assert "No sampling worker has taken this yet" in response.text
    assert 'id="announcement"' in response.text
    services.claim_waiting_turns(1)
    assert "No sampling worker" not in bobs.get(url, **HTMX).text


def test_looking_leads_away_from_what_was_ended_elsewhere(
    bobs: Client, conversation: Assignment
) -> None:
    services.skip(conversation, Assignment.SkipReason.OTHER)
    response = bobs.get(url_of(conversation, "replies"), **HTMX)
    assert response["HX-Redirect"] == url_of(conversation)


def test_only_its_labeller_can_look(
    client: Client, project: Project, conversation: Assignment, bea: User, charlie: User, bob: User
) -> None:
    url = url_of(conversation, "replies")
    assert client.get(url).status_code == 302
    for other in (bea, charlie):
        client.force_login(other)
        assert client.get(url).status_code == 404
        assert submit(client, conversation, {"turn": "0", "choice": "tie"}).status_code == 404
    client.force_login(bob)
    assert client.post(url).status_code == 405
    comparison = make_assignment(make_item(project), bob)
    assert client.get(url_of(comparison, "replies")).status_code == 404


# What is refused loses nothing


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Your message is empty"),
        (" \r\n\t", "Your message is empty"),
        ("x" * 2_000_000, "Shorten it"),
        ("frog\x00s", "NUL"),
    ],
)
def test_it_says_what_is_wrong_with_a_message(
    bobs: Client, conversation: Assignment, text: str, sentence: str
) -> None:
    bring_to(conversation, "say")
    response = submit(bobs, conversation, {"turn": "1", "text": text}, **HTMX)
    assert response.status_code == 422
    assert sentence in response.text
    if text.strip():
        assert text.replace("\x00", "\ufffd")[:50] in response.text.replace("\x00", "\ufffd")
    assert conversation.turns.count() == 1


def test_five_megabytes_are_refused(bobs: Client, conversation: Assignment) -> None:
    bring_to(conversation, "say")
    response = submit(bobs, conversation, {"turn": "1", "text": "x" * 5_000_000})
    assert response.status_code in (400, 422)
    assert conversation.turns.count() == 1


@pytest.mark.parametrize("data", [{"choice": "best"}, {"choice": ""}, {}, {"choice": "left"}])
def test_it_says_what_is_wrong_with_a_pick(
    bobs: Client, conversation: Assignment, data: dict[str, str]
) -> None:
    bring_to(conversation, "pick")
    response = submit(bobs, conversation, {"turn": "0", **data}, **HTMX)
    assert response.status_code == 422
    assert step_of(response.text) == "pick"
    assert not Turn.objects.exclude(outcome="").exists()


@pytest.mark.parametrize("turn", [None, "", "frog", "-1", "13", "9" * 30])
@pytest.mark.parametrize("step", ["pick", "say"])
def test_it_refuses_a_step_without_a_turn(
    bobs: Client, conversation: Assignment, step: str, turn: str | None
) -> None:
    bring_to(conversation, step)
    data = {"text": "How loud?"} if step == "say" else {"choice": "tie"}
    if turn is not None:
        data["turn"] = turn
    response = submit(bobs, conversation, data, **HTMX)
    assert response.status_code == 409
    assert step_of(response.text) == step
    assert conversation.turns.count() == 1


def test_it_refuses_to_pick_before_the_replies_are_there(
    bobs: Client, conversation: Assignment
) -> None:
    response = submit(bobs, conversation, {"turn": "0", "choice": "tie"}, **HTMX)
    assert response.status_code == 409
    assert "not there yet" in response.text


@pytest.mark.parametrize("data", [{"choice": "best"}, {}, {"choice": "right-better"}])
def test_a_pick_for_an_older_turn_changes_nothing(
    bobs: Client, conversation: Assignment, data: dict[str, str]
) -> None:
    bring_to(conversation, "say")
    services.say(conversation, 1, "How loud?")
    make_replies(conversation, "Very.", "Not much.")
    response = submit(bobs, conversation, {"turn": "0", **data}, **HTMX)
    assert response.status_code == 409
    assert step_of(response.text) == "pick"
    assert "checked" not in response.text
    assert conversation.turns.get(number=0).outcome == "left"
    assert conversation.turns.get(number=1).outcome == ""


def test_sending_twice_asks_once(bobs: Client, conversation: Assignment) -> None:
    bring_to(conversation, "pick")
    for _ in range(2):
        response = submit(bobs, conversation, {"turn": "0", "choice": "tie"}, **HTMX)
        assert (response.status_code, step_of(response.text)) == (200, "say")
    for _ in range(2):
        data = {"turn": "1", "text": "How loud?"}
        response = submit(bobs, conversation, data, **HTMX)
        assert (response.status_code, step_of(response.text)) == (200, "wait")
    assert conversation.turns.count() == 2
    for _ in range(2):
        submit(bobs, conversation, {"turn": "1", "end": "1"}, **HTMX)
    assert Annotation.objects.count() == 1


def test_a_second_tab_is_shown_what_it_could_not_send(
    bobs: Client, conversation: Assignment
) -> None:
    bring_to(conversation, "say")
    submit(bobs, conversation, {"turn": "1", "text": "How loud?"})
    response = submit(bobs, conversation, {"turn": "1", "text": "How high?"}, **HTMX)
    assert response.status_code == 409
    assert step_of(response.text) == "wait"
    assert "gone on elsewhere" in response.text
    assert "How high?" in response.text
    assert [turn.prompt.text for turn in conversation.turns.all()][1:] == ["How loud?"]


def test_a_draft_that_another_tab_has_saved_is_not_passed_over(
    bobs: Client, conversation: Assignment
) -> None:
    bring_to(conversation, "say")
    services.save_draft(conversation, {"turn": ["1"], "text": ["From there"]}, revision=0)
    data = {"turn": "1", "text": "From here", "draft_revision": "0"}
    response = submit(bobs, conversation, data, **HTMX)
    assert response.status_code == 409
    assert "From there" in response.text
    assert "From here" in response.text
    assert conversation.turns.count() == 1


def test_a_draft_is_there_again_for_its_own_turn_alone(
    bobs: Client, conversation: Assignment
) -> None:
    bring_to(conversation, "pick")
    picked = {"turn": ["0"], "choice": ["right-better"]}
    services.save_draft(conversation, picked, revision=0)
    assert page(bobs, conversation).count("checked") == 1
    services.pick(conversation, 0, "tie")
    written = {"turn": ["1"], "text": ["Half a mess"]}
    services.save_draft(conversation, written, revision=1)
    assert "Half a mess</textarea>" in page(bobs, conversation)
    services.say(conversation, 1, "How loud?")
    make_replies(conversation)
    services.save_draft(conversation, picked, revision=2)
    assert "checked" not in page(bobs, conversation)
    services.pick(conversation, 1, "tie")
    assert "Half a mess" not in page(bobs, conversation)


def test_a_skipped_conversation_takes_no_more_steps(bobs: Client, conversation: Assignment) -> None:
    bring_to(conversation, "say")
    services.skip(conversation, Assignment.SkipReason.OTHER)
    response = submit(bobs, conversation, {"turn": "1", "text": "How loud?"}, **HTMX)
    assert response.status_code == 409
    assert "has ended" in response.text
    assert "How loud?" in response.text


def test_nothing_can_be_ended_before_a_pick(bobs: Client, conversation: Assignment) -> None:
    assert "End here" not in page(bobs, conversation)
    response = submit(bobs, conversation, {"turn": "0", "end": "1"}, **HTMX)
    assert response.status_code == 409
    assert "Nothing was picked yet" in response.text
    assert not Annotation.objects.exists()


# What holds for every page of work


def test_it_does_not_tell_what_wrote_a_reply(bobs: Client, conversation: Assignment) -> None:
    turn = make_replies(conversation, "They jump.", "They croak.")
    assert turn.first
    checkpoint = turn.first.checkpoint
    assert checkpoint
    type(checkpoint).objects.filter(pk=checkpoint.pk).update(name="secret-model")
    Completion.objects.update(sampling={"seed": 987654}, source_name="secret-source")
    pages = [page(bobs, conversation), bobs.get(url_of(conversation, "replies"), **HTMX).text]
    services.pick(conversation, 0, "tie")
    pages.append(page(bobs, conversation))
    services.submit_conversation(conversation)
    pages.append(bobs.get(url_of(conversation, "assignment_history")).text)
    for html in pages:
        for secret in ("secret", "987654", "checkpoint"):
            assert secret not in html, secret


def test_it_shows_markup_as_text(bobs: Client, conversation: Assignment) -> None:
    make_replies(conversation, HOSTILE, f"{HOSTILE} again")
    assert "<img" not in page(bobs, conversation)
    services.pick(conversation, 0, "tie")
    assert "<img" not in page(bobs, conversation)
    services.say(conversation, 1, HOSTILE)
    assert "<img" not in page(bobs, conversation)


def test_it_shows_markdown_where_the_project_does(
    bobs: Client, project: Project, conversation: Assignment
) -> None:
    Project.objects.update(rendering=Project.Rendering.MARKDOWN)
    make_replies(conversation, "**bold**", "*soft*")
    assert "<strong>bold</strong>" in page(bobs, conversation)


def test_two_equal_replies_are_said_to_be_equal(bobs: Client, conversation: Assignment) -> None:
    make_replies(conversation, "same", "same")
    assert "Both replies say the same" in page(bobs, conversation)
    response = submit(bobs, conversation, {"turn": "0", "choice": "left-better"}, **HTMX)
    assert response.status_code == 409
    assert step_of(response.text) == "pick"


def test_an_empty_reply_is_shown_as_empty(bobs: Client, conversation: Assignment) -> None:
    make_replies(conversation, "", "words")
    assert "(empty)" in page(bobs, conversation)


def test_a_long_conversation_takes_as_many_queries_as_a_short_one(
    bobs: Client, conversation: Assignment
) -> None:
    def queries(url: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert bobs.get(url).status_code == 200
        return len(captured)

    urls = [url_of(conversation), url_of(conversation, "replies")]
    bobs.get(urls[0])
    short = [queries(url) for url in urls]
    bring_to(conversation, "full")
    assert queries(urls[0]) == short[0]
    assert short[1] <= 5


def test_what_ran_out_goes_on_and_counts(
    bobs: Client, project: Project, bob: User, conversation: Assignment
) -> None:
    queue.release_leases_of(bob, project)
    make_replies(conversation)
    submit(bobs, conversation, {"turn": "0", "choice": "tie"})
    conversation.refresh_from_db()
    assert conversation.state == Assignment.State.LEASED
    submit(bobs, conversation, {"turn": "1", "end": "1"})
    assert not Annotation.objects.get().surplus


def test_the_time_at_work_is_kept_from_step_to_step(bobs: Client, conversation: Assignment) -> None:
    Assignment.objects.update(leased_at=Now() - timedelta(minutes=5))
    bring_to(conversation, "pick")
    response = submit(
        bobs, conversation, {"turn": "0", "choice": "tie", "active_ms": "9000"}, **HTMX
    )
    assert 'name="active_ms" value="9000"' in response.text
    assert 'name="active_ms" value="9000"' in page(bobs, conversation)
    submit(bobs, conversation, {"turn": "1", "end": "1", "active_ms": "12000"})
    assert Annotation.objects.get().active_ms == 12_000


# Where conversations come from


def test_a_labeller_starts_one(bobs: Client, project: Project, bob: User) -> None:
    url = reverse("annotations:start_conversation", args=[project.pk])
    assert bobs.get(url).status_code == 404
    Project.objects.update(own_conversations_allowed=True)
    assert url in bobs.get(reverse("annotations:project", args=[project.pk])).text
    assert "Your first message" in bobs.get(url).text
    response = bobs.post(url, {"text": "Hello?"})
    assignment = Assignment.objects.get()
    assert (response.status_code, response.url) == (303, url_of(assignment))
    again = bobs.post(url, {"text": "And hello again?"})
    assert again.status_code == 422
    assert "You are in a conversation already" in again.text
    assert "And hello again?" in again.text
    assert Item.objects.count() == 1


@pytest.mark.parametrize("text", ["", "  ", "a\x00b", "x" * 30_000])
def test_it_says_what_is_wrong_with_a_first_message(
    bobs: Client, project: Project, text: str
) -> None:
    Project.objects.update(own_conversations_allowed=True)
    url = reverse("annotations:start_conversation", args=[project.pk])
    response = bobs.post(url, {"text": text})
    assert response.status_code == 422
    assert 'class="error"' in response.text
    assert not Item.objects.exists()


def test_outsiders_start_none(client: Client, project: Project, charlie: User) -> None:
    Project.objects.update(own_conversations_allowed=True)
    client.force_login(charlie)
    url = reverse("annotations:start_conversation", args=[project.pk])
    assert client.get(url).status_code == 404
    assert client.put(url).status_code in (404, 405)


def test_an_owner_queues_them_from_the_prompts(
    client: Client, project: Project, alice: User, bob: User
) -> None:
    for number in range(3):
        make_prompt(project, f"Prompt about rain {number}")
    make_prompt(project, "Prompt about snow")
    client.force_login(alice)
    url = reverse("annotations:prompts", args=[project.pk])
    response = client.post(f"{url}?search=rain", {"number": "2", "overlap": "2"}, follow=True)
    assert "2 conversations are waiting" in response.text
    made = Item.objects.filter(kind=Kind.CONVERSATION).order_by("-prompt_id")
    assert [item.prompt.text[-1] for item in made] == ["2", "1"]
    assert {(item.overlap, item.open_slots) for item in made} == {(2, 2)}
    response = client.post(f"{url}?search=rain", {"number": "50", "overlap": "1"}, follow=True)
    assert "1 conversations are waiting" in response.text
    client.force_login(bob)
    assert client.post(url, {"number": "2", "overlap": "2"}).status_code == 404


@pytest.mark.parametrize(
    "data",
    [{"number": "0", "overlap": "1"}, {"number": "many", "overlap": "1"}, {"number": "1"}],
)
def test_it_says_what_is_wrong_with_a_number(
    client: Client, project: Project, alice: User, data: dict[str, str]
) -> None:
    make_prompt(project)
    client.force_login(alice)
    response = client.post(reverse("annotations:prompts", args=[project.pk]), data)
    assert response.status_code == 422
    assert "Nothing was added" in response.text
    assert not Item.objects.exists()


def test_a_conversation_is_started_like_other_work(
    bobs: Client, project: Project, bob: User
) -> None:
    make_item(project, Kind.CONVERSATION)
    assert ">Converse <" in bobs.get(reverse("annotations:home")).text
    response = bobs.post(
        reverse("annotations:start", args=[project.pk]), {"kind": "conversation"}, follow=True
    )
    assert step_of(response.text) == "wait"
    assert services.has_waiting_turns()
