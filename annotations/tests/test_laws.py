"""Laws 1 to 4 of the platform, after every step of any course of events.

A machine leases, drafts, submits, skips, lets leases run out, undoes, corrects, pauses, removes and
takes back people in whatever order it likes, on the same database as the application, and looks
after each step whether anything was lost, changed, handed out too often or shown to its author.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from annotations import queue, selectors, services
from annotations.models import (
    Annotation,
    Assignment,
    AssignmentEvent,
    Comparison,
    Completion,
    ConversationChoice,
    CorrectionDraft,
    Demonstration,
    Item,
    Kind,
    Membership,
    Project,
    RankedCompletion,
    Role,
    Turn,
    User,
    in_force,
)
from annotations.services import ServiceError
from annotations.tests.factories import make_completion, make_item, make_prompt, make_replies

State = Assignment.State

PEOPLE = 3

ASKED_FOR = (Kind.COMPARISON, Kind.RANKING, Kind.DEMONSTRATION, Kind.CONVERSATION)

people = st.integers(0, PEOPLE - 1)
answers = st.sampled_from(
    ["left-better", "right-slightly", "tie", "both_bad", "left-significantly", "right-negligibly"]
)
typed = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
texts = st.sampled_from(["one", "two", "three\nlines"]) | typed
revisions = st.integers(0, 4)
active = st.integers(0, 10**7)


def payload_of(annotation: Annotation) -> Any:
    """Return everything that an annotation says, to be held against what it says later."""
    common = (annotation.reason, tuple(annotation.shown_order), annotation.surplus)
    match Kind(annotation.kind):
        case Kind.DEMONSTRATION:
            written = Demonstration.objects.get(annotation=annotation).completion
            return (*common, written.text, written.author_id)
        case Kind.COMPARISON:
            said = Comparison.objects.get(annotation=annotation)
            return (*common, said.left_id, said.right_id, said.outcome, said.strength)
        case Kind.RANKING:
            entries = RankedCompletion.objects.filter(ranking_id=annotation.pk)
            return (*common, *sorted(entries.values_list("completion_id", "tier")))
        case Kind.CONVERSATION:
            choices = ConversationChoice.objects.filter(conversation_id=annotation.pk)
            fields = ("position", "prompt", "left", "right", "outcome", "strength")
            return (*common, *choices.values_list(*fields))
        case kind:
            raise NotImplementedError(kind)


class Laws(RuleBasedStateMachine):
    """A project with three labellers and a handful of items, and everything they may do."""

    @initialize()
    def begin(self) -> None:
        self.before = transaction.savepoint()
        owner = User.objects.create(username="law-owner")
        self.project = Project.objects.create(
            name="Laws",
            created_by=owner,
            grace_seconds=3600,
            skip_policy=Project.SkipPolicy.LATER,
        )
        self.people = [User.objects.create(username=f"law-{n}") for n in range(PEOPLE)]
        for person in self.people:
            Membership.objects.create(project=self.project, user=person, role=Role.ANNOTATOR)
        prompt = make_prompt(self.project)
        own = [make_completion(prompt, "mine", author=self.people[0])]
        make_item(self.project, overlap=2)
        make_item(self.project, prompt=prompt, texts=("one", "two"))
        make_item(self.project, prompt=prompt, texts=("two", "one"), overlap=2)
        make_item(
            self.project,
            prompt=prompt,
            completions=[*own, make_completion(prompt, "other")],
            overlap=3,
        )
        make_item(self.project, Kind.RANKING, texts=("a", "b", "c"), overlap=2, priority=1)
        make_item(self.project, Kind.DEMONSTRATION, overlap=2)
        make_item(self.project, Kind.CONVERSATION, overlap=2, priority=1)
        self.said: dict[int, Any] = {}
        self.gone: set[int] = set()

    def teardown(self) -> None:
        if hasattr(self, "before"):
            transaction.savepoint_rollback(self.before)

    # What people do

    def held_by(self, person: int) -> Assignment | None:
        """Return what a person may answer, or what they are handed if there is nothing."""
        if assignment := self.of(person, State.LEASED, State.EXPIRED):
            return assignment
        queue.lease_next(self.people[person], self.project)
        return self.of(person, State.LEASED)

    def of(self, person: int, *states: str) -> Assignment | None:
        return (
            Assignment.objects.filter(annotator=self.people[person], state__in=states)
            .select_related("item__project", "annotator")
            .order_by("id")
            .first()
        )

    @rule(person=people, kind=st.sampled_from([None, *ASKED_FOR]))
    def lease(self, person: int, kind: str | None) -> None:
        before = set(Assignment.objects.values_list("id", "state"))
        assignment = queue.lease_next(self.people[person], self.project, kind)
        if assignment is None:
            return
        assert assignment.state == State.LEASED
        assert assignment.annotator == self.people[person]
        assert person not in self.gone
        if (assignment.pk, State.LEASED) not in before:
            kept = assignment.annotations.filter(in_force())
            assert not kept.exists(), "handed out although it is answered"

    @rule(person=people, text=texts, revision=revisions, active_ms=active)
    def draft(self, person: int, text: str, revision: int, active_ms: int) -> None:
        assignment = self.held_by(person) or self.of(person, State.SUBMITTED)
        if assignment is None:
            return
        stored = (assignment.draft, assignment.draft_revision)
        saved = services.save_draft(
            assignment, {"text": [text]}, revision=revision, active_ms=active_ms
        )
        assignment.refresh_from_db()
        if saved.stale or saved.closed:
            assert (assignment.draft, assignment.draft_revision) == stored
        else:
            assert assignment.draft_revision == saved.revision
            assert assignment.draft == saved.fields

    @rule(person=people, answer=answers, text=texts)
    def submit(self, person: int, answer: str, text: str) -> None:
        if assignment := self.held_by(person):
            self.answer(assignment, answer, text)

    @rule(person=people, answer=answers)
    def submit_again(self, person: int, answer: str) -> None:
        assignment = self.of(person, State.SUBMITTED)
        if assignment is None:
            return
        before = services.annotation_in_force(assignment)
        assert self.answer(assignment, answer, "again") == before

    @rule(person=people, answer=answers, text=texts)
    def submit_what_was_skipped(self, person: int, answer: str, text: str) -> None:
        if assignment := self.of(person, State.SKIPPED):
            with pytest.raises(ServiceError):
                self.answer(assignment, answer, text or "words")

    @rule(person=people, answer=answers, text=texts, right=st.booleans())
    def correct(self, person: int, answer: str, text: str, right: bool) -> None:
        assignment = self.of(person, State.SUBMITTED)
        if assignment is None:
            return
        before = services.annotation_in_force(assignment)
        assert before is not None
        after = self.answer(
            assignment, answer, text, correcting=before.pk if right else before.pk + 1_000_000
        )
        if after is not None:
            assert after.supersedes == before if right else after == before

    @rule(person=people, text=texts, revision=revisions, right=st.booleans())
    def draft_a_correction(self, person: int, text: str, revision: int, right: bool) -> None:
        assignment = self.of(person, State.SUBMITTED)
        if assignment is None:
            return
        current = services.annotation_in_force(assignment)
        assert current is not None
        stored = selectors.correction_of(current)
        saved = services.save_correction_draft(
            assignment,
            {"text": [text]},
            correcting=current.pk if right else current.pk + 1_000_000,
            revision=revision,
        )
        now = selectors.correction_of(current)
        if saved.closed or saved.stale:
            assert now == stored
            assert saved.closed == (not right)
        else:
            assert now.fields == saved.fields == {"text": [text]}

    @rule(person=people)
    def skip(self, person: int) -> None:
        if assignment := self.held_by(person):
            services.skip(assignment, Assignment.SkipReason.UNSURE)

    @rule(person=people, too_late=st.booleans())
    def undo(self, person: int, too_late: bool) -> None:
        assignment = self.of(person, State.SUBMITTED, State.SKIPPED)
        if assignment is None:
            return
        if too_late:
            Assignment.objects.filter(id=assignment.pk).update(
                closed_at=F("closed_at") - timedelta(hours=2)
            )
            with pytest.raises(ServiceError):
                services.undo(assignment)
            Assignment.objects.filter(id=assignment.pk).update(
                closed_at=F("closed_at") + timedelta(hours=2)
            )
            return
        services.undo(assignment)
        assert assignment.state in (State.LEASED, State.EXPIRED)
        assert services.annotation_in_force(assignment) is None

    @rule(person=people, answer=answers, other=answers)
    def change_ones_mind(self, person: int, answer: str, other: str) -> None:
        assignment = self.held_by(person)
        if assignment is None:
            return
        first = self.answer(assignment, answer, "first words")
        services.undo(assignment)
        assert assignment.draft
        second = self.answer(assignment, other, "second words")
        assert second is not None
        assert second.supersedes == first

    @rule(person=people, noticed=st.booleans())
    def expire(self, person: int, noticed: bool) -> None:
        if assignment := self.of(person, State.LEASED):
            Assignment.objects.filter(id=assignment.pk).update(
                lease_until=Now() - timedelta(seconds=1)
            )
            if noticed:
                queue.release_expired()

    @rule(person=people, state=st.sampled_from(["active", "active", "paused"]))
    def pause_or_resume(self, person: int, state: str) -> None:
        Membership.objects.filter(user=self.people[person]).update(state=state)

    @rule(is_paused=st.sampled_from([False, False, True]))
    def pause_project(self, is_paused: bool) -> None:
        Project.objects.filter(id=self.project.pk).update(is_paused=is_paused)
        self.project.refresh_from_db()

    @precondition(lambda self: len(self.gone) < PEOPLE)
    @rule(person=people)
    def leave(self, person: int) -> None:
        membership = Membership.objects.filter(user=self.people[person]).first()
        if membership is not None and person not in self.gone:
            Membership.objects.create(
                project=self.project,
                user=User.objects.create(username=f"keeps-{User.objects.count()}"),
                role=Role.OWNER,
            )
            services.remove_member(membership)
            self.gone.add(person)

    @rule(person=people)
    def come_back(self, person: int) -> None:
        if person in self.gone:
            services.add_member(self.project, self.people[person], Role.ANNOTATOR)
            self.gone.discard(person)

    def answer(
        self, assignment: Assignment, answer: str, text: str, correcting: int | None = None
    ) -> Annotation | None:
        """Hand in an answer of the right kind. Return None where it says nothing."""
        annotation: Annotation
        match Kind(assignment.item.kind):
            case Kind.DEMONSTRATION:
                if not text.strip():
                    return None
                annotation = services.submit_demonstration(assignment, text, correcting=correcting)
            case Kind.COMPARISON:
                outcome, _, strength = answer.partition("-")
                annotation = services.submit_comparison(
                    assignment, outcome, strength, reason=text, correcting=correcting
                )
            case Kind.CONVERSATION:
                if correcting is not None:
                    with pytest.raises(ServiceError):
                        services.submit_conversation(assignment, correcting=correcting)
                    return None
                self.converse(assignment, answer, text)
                annotation = services.submit_conversation(assignment, unsent=text)
            case _:
                first, second, third = assignment.shown_order
                tiers = [[first, third], [second]] if answer == "tie" else [[third, first, second]]
                annotation = services.submit_ranking(assignment, tiers, correcting=correcting)
        self.said.setdefault(annotation.pk, payload_of(annotation))
        return annotation

    def converse(self, assignment: Assignment, answer: str, text: str) -> None:
        """Say something where that is what comes next, and pick from what is replied."""
        if assignment.state not in (State.LEASED, State.EXPIRED):
            return
        standing = selectors.standing_of(assignment)
        if standing.step == "say" and text.strip():
            services.say(assignment, standing.number, text)
        if assignment.turns.filter(state=Turn.State.WAITING).exists():
            make_replies(assignment)
        standing = selectors.standing_of(assignment)
        if standing.step == "pick":
            outcome, _, strength = answer.partition("-")
            services.pick(assignment, standing.number, outcome, strength)

    # The laws

    @invariant()
    def nothing_that_was_acknowledged_is_lost_or_changed(self) -> None:
        for annotation in Annotation.objects.filter(id__in=self.said):
            assert payload_of(annotation) == self.said[annotation.pk]
        assert Annotation.objects.count() == len(self.said)

    @invariant()
    def the_places_of_an_item_add_up_to_its_overlap(self) -> None:
        for item in Item.objects.all():
            held = item.assignments.filter(state=State.LEASED).count()
            kept = item.annotations.filter(in_force(), surplus=False).count()
            assert item.open_slots + held + kept == item.overlap, item.pk
            assert item.skips == item.assignments.filter(state=State.SKIPPED).count()

    @invariant()
    def a_submitted_assignment_says_one_thing_and_others_say_none(self) -> None:
        for assignment in Assignment.objects.all():
            said = assignment.annotations.filter(in_force()).count()
            assert said == (assignment.state == State.SUBMITTED), assignment.state

    @invariant()
    def only_what_is_in_force_is_being_corrected(self) -> None:
        drafts = CorrectionDraft.objects.exclude(in_force("annotation__"))
        assert not drafts.exists()

    @invariant()
    def everyone_sees_all_completions_in_a_stored_order_and_none_of_their_own(self) -> None:
        for assignment in Assignment.objects.select_related("item"):
            shown = assignment.item.completions.values_list("id", flat=True)
            assert sorted(assignment.shown_order) == sorted(shown)
            own = Completion.objects.filter(
                id__in=assignment.shown_order, author=assignment.annotator
            )
            assert not own.exists()
            for annotation in assignment.annotations.all():
                assert annotation.shown_order == assignment.shown_order

    @invariant()
    def nobody_is_asked_the_same_question_twice(self) -> None:
        asked = list(Assignment.objects.values_list("annotator_id", "item__fingerprint"))
        assert len(asked) == len(set(asked))

    @invariant()
    def a_tie_and_both_bad_stay_apart(self) -> None:
        for said in Comparison.objects.all():
            assert (said.strength == "") == (said.outcome in ("tie", "both_bad"))
            fields = selectors.fields_of(said.annotation)
            assert fields["choice"][0].partition("-")[::2] == (said.outcome, said.strength)

    @invariant()
    def replies_are_wanted_by_those_alone_who_still_converse(self) -> None:
        for assignment in Assignment.objects.filter(item__kind=Kind.CONVERSATION):
            turns = assignment.turns.exclude(state=Turn.State.DROPPED)
            numbers = list(turns.values_list("number", flat=True))
            assert numbers == list(range(len(numbers)))
            waiting = turns.filter(state=Turn.State.WAITING).count()
            is_open = assignment.state in (State.LEASED, State.EXPIRED)
            assert waiting <= is_open

    @invariant()
    def every_change_is_written_down(self) -> None:
        last = {
            State.LEASED: {"leased", "drafted", "undone"},
            State.SUBMITTED: {"submitted", "corrected"},
            State.SKIPPED: {"skipped"},
            State.EXPIRED: {"expired", "drafted", "undone"},
        }
        for assignment in Assignment.objects.all():
            names = list(assignment.events.values_list("name", flat=True))
            assert names[-1] in last[State(assignment.state)], names
            submitted = names.count("submitted") + names.count("corrected")
            assert submitted == assignment.annotations.count()
        assert AssignmentEvent.objects.filter(name="leased").exists() or not (
            Assignment.objects.exists()
        )


@pytest.mark.django_db
def test_the_laws_hold_whatever_happens() -> None:
    Laws.TestCase.settings = settings(
        max_examples=6,  # on either database, in every run
        stateful_step_count=30,
        suppress_health_check=list(HealthCheck),
    )
    Laws.TestCase("runTest").runTest()
