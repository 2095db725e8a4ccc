"""Battles in a project's arena: drawing the pair, letting both write, and setting who fights.

The answers begin when somebody reads them, both at once. What a reader is told says nothing about
who writes: no names, both texts to the same character, one place in the queue.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from annotations import exports
from annotations import services as collecting
from annotations.algorithms.battles import Battles
from annotations.algorithms.pairing import draw_pair
from training import lifecycle, selectors, streaming
from training.in_step import InStep
from training.models import Arena, Checkpoint, Endpoint
from training.services.audit import record
from training.services.refusals import ServiceError

if TYPE_CHECKING:
    from annotations.models import Battle, Project, User
    from annotations.services import Written

T = TypeVar("T")

TEMPERATURE = 1.0
TOP_P = 0.95
MAX_NEW_TOKENS = 256
READER_GONE = timedelta(seconds=10)
"""Answers whose last reader left longer ago may have been cut off: they are written anew. The door
stops what nobody reads after 15 seconds."""
NOTED_EVERY_S = 3.0
TOO_MANY = gettext_noop("Too many people ask the models at this moment. Ask again in a minute.")
"""It is kept, and so does not say how many seconds it took then."""
MOST_FIGHTERS = 50
MOST_A_DAY = 10_000

_SYSTEM_RANDOM = random.SystemRandom()


@dataclass(frozen=True)
class Place:
    """Both wait, and the last of the two has this place in the queue."""

    place: int
    seconds: int


@dataclass(frozen=True)
class Pieces:
    """What both answers show more of: A's, then B's."""

    left: str
    right: str


@dataclass(frozen=True)
class Beat:
    """Nothing new; a reader who has left is noticed by it."""


@dataclass(frozen=True)
class Problem:
    """They can't be written now. The battle waits; the sentence says what to do."""

    message: str


@dataclass(frozen=True)
class Ended:
    """Both answers are kept, or the battle has failed. Nothing follows."""


News = Place | Pieces | Beat | Problem | Ended


def ask_in_arena(
    project: Project,
    user: User,
    text: str,
    *,
    after: Battle | None = None,
    rng: random.Random = _SYSTEM_RANDOM,
) -> Battle:
    """Ask two checkpoints that are drawn for it; what they write waits for a reader."""
    limit = selectors.arena_of(project).daily_limit
    messages = _sentence(
        lambda: collecting.question_to_ask(project, user, text, after=after, daily_limit=limit)
    )
    fighters = selectors.fighters(project)
    if len(fighters) < 2:
        raise ServiceError(
            _(
                "It takes two to fight, and this project has fewer checkpoints that can answer. "
                "Ask an engineer of the project to train one more, or to let more into the arena."
            )
        )
    counted = exports.arena_counts(project.pk)
    battles = Battles.of(
        [(left, right, outcome) for left, right, outcome, _ in counted if left and right],
        models=[fighter.pk for fighter in fighters],
        counts=[count for left, right, _, count in counted if left and right],
    )
    pair = draw_pair([fighter.pk for fighter in fighters], battles, rng)
    return _sentence(
        lambda: collecting.open_battle(
            project, user, messages, pair, after=after, daily_limit=limit
        )
    )


def write_battle(battle: Battle, *, within_s: float = math.inf) -> Iterator[News]:
    """Let both answers be written, yield them as they come, and keep them at their end.

    Who comes second reads the same answers, from their beginning. So does who had to leave after
    `within_s` seconds, if they come back soon (`READER_GONE`).
    """
    until = time.monotonic() + within_s
    battle.refresh_from_db()
    if battle.state != battle.State.WRITING:
        yield Ended()
        return
    try:
        generations = _begin(battle)
    except (streaming.Busy, streaming.Unavailable) as error:
        yield Problem(_(str(error)))
        return
    for one in _Writing(battle, generations).news():
        yield one
        if time.monotonic() >= until and not isinstance(one, Ended):
            collecting.note_reader(battle)
            return


def vote_in_arena(battle: Battle, outcome: str) -> Battle:
    """Keep which answer is better. A vote that is there stays as it is."""
    return _sentence(lambda: collecting.vote(battle, outcome))


def take_back_arena_vote(battle: Battle) -> None:
    """Retract a vote within the grace period."""
    _sentence(lambda: collecting.take_back_vote(battle))


@transaction.atomic
def set_arena(
    project: Project,
    *,
    is_open: bool,
    daily_limit: int,
    learns_from_arena: bool,
    checkpoints: Collection[Checkpoint],
    changed_by: User,
) -> Arena:
    """Set who fights in a project's arena, who may ask, how often, and whether votes teach."""
    if not 1 <= daily_limit <= MOST_A_DAY:
        raise ServiceError(f"Choose from 1 to {MOST_A_DAY:,} questions a day.")
    if len(checkpoints) == 1:
        raise ServiceError("It takes two to fight. Choose two checkpoints or more, or none.")
    if len(checkpoints) > MOST_FIGHTERS:
        raise ServiceError(f"Choose at most {MOST_FIGHTERS} checkpoints.")
    _sentence(lambda: collecting.update_project(project, learns_from_arena=learns_from_arena))
    arena, _ = Arena.objects.update_or_create(
        project=project, defaults={"is_open": is_open, "daily_limit": daily_limit}
    )
    arena.checkpoints.set(checkpoints)
    who = ", ".join(map(str, checkpoints)) or "the promoted and the newest"
    reason = (
        f"{'Everybody' if is_open else 'Only owners and engineers'} may ask, {daily_limit} a day. "
        f"Votes {'teach' if learns_from_arena else 'teach nothing'}. Who fights: {who}."
    )
    record(project, changed_by, "set", arena, reason)
    return arena


class _Writing:
    """Two answers while they are written, as one reader sees them."""

    def __init__(self, battle: Battle, generations: tuple[str, str]) -> None:
        self.battle = battle
        self.generations = generations
        self.texts = InStep()
        self.places: dict[int, streaming.Waiting] = {}
        self.ends: dict[int, streaming.Done] = {}
        self.failure = ""
        self.noted_at = time.monotonic()

    def news(self) -> Iterator[News]:
        for side, event in streaming.events_of(self.generations):
            if found := self._take_in(side, event):
                yield found
            if self.failure:
                break
            if time.monotonic() - self.noted_at >= NOTED_EVERY_S:
                self.noted_at = time.monotonic()
                collecting.note_reader(self.battle)
        self._keep()
        yield Ended()

    def _take_in(self, side: int, event: streaming.Event) -> News | None:
        match event:
            case streaming.Waiting():
                self.places[side] = event
                last = max(self.places.values(), key=lambda waiting: waiting.place)
                return Place(last.place, last.seconds)
            case streaming.Token(text):
                return Pieces(*self.texts.add(side, str(lifecycle.clean(text))))
            case streaming.Done():
                self.ends[side] = event
                return Pieces(*self.texts.end(side))
            case streaming.Failed(message, again_in=again_in):
                # The sentence of a server elsewhere names it.
                failure = collecting.NO_ANSWER if self._is_elsewhere(side) else message
                self.failure = TOO_MANY if again_in else failure
        return None if self.failure else Beat()

    def _is_elsewhere(self, side: int) -> bool:
        ids = (self.battle.left_checkpoint_id, self.battle.right_checkpoint_id)
        return Checkpoint.objects.get(id=ids[side]).is_external

    def _keep(self) -> None:
        """Write down how it ended, unless somebody begins both anew meanwhile."""
        if self.failure or len(self.ends) < 2:
            for generation in self.generations:
                streaming.stop(generation)
            reason = self.failure or gettext_noop("The answers broke off. Ask again.")
            collecting.fail_battle(self.battle, reason, generations=self.generations)
            return
        left, right = (self._written(side) for side in range(2))
        collecting.answer_battle(
            self.battle, left, right, names=_names(self.battle), generations=self.generations
        )

    def _written(self, side: int) -> Written:
        end = self.ends[side]
        return collecting.Written(
            self.texts.texts[side],
            {
                "seed": end.seed,
                "temperature": TEMPERATURE,
                "top_p": TOP_P,
                "max_new_tokens": MAX_NEW_TOKENS,
                "finish_reason": end.finish_reason,
                "tokens": end.usage.get("completion_tokens", 0),
            },
        )


def _begin(battle: Battle) -> tuple[str, str]:
    """Return what names the two answers: those that somebody reads, or new ones."""
    known = battle.generations
    if known and collecting.has_reader(battle, within=READER_GONE):
        collecting.note_reader(battle)
        return known[0], known[1]
    left = streaming.begin(_generation(battle, battle.left_checkpoint_id))
    try:
        right = streaming.begin(_generation(battle, battle.right_checkpoint_id))
    except (streaming.Busy, streaming.Unavailable):
        streaming.stop(left)
        raise
    for generation in known:
        streaming.stop(generation)
    if collecting.note_generations(battle, (left, right), instead_of=known):
        return left, right
    # Another tab was faster: its answers are read here, too.
    streaming.stop(left)
    streaming.stop(right)
    battle.refresh_from_db()
    return battle.generations[0], battle.generations[1]


def _generation(battle: Battle, checkpoint_id: int) -> streaming.Generation:
    return streaming.Generation(
        checkpoint_id=checkpoint_id,
        messages=[
            {"role": one["role"], "content": one["content"]} for one in battle.prompt.messages
        ],
        temperature=TEMPERATURE,
        top_p=TOP_P,
        max_new_tokens=MAX_NEW_TOKENS,
    )


def _names(battle: Battle) -> set[str]:
    """Return what the project's checkpoints are called; an answer may name another than itself."""
    checkpoints = Checkpoint.objects.filter(project=battle.project_id)
    endpoints = Endpoint.objects.filter(checkpoint__project=battle.project_id)
    return {*checkpoints.values_list("name", flat=True), *endpoints.values_list("model", flat=True)}


def _sentence(act: Callable[[], T]) -> T:
    """Return what collecting returns, and raise its refusal as one of training."""
    try:
        return act()
    except collecting.ServiceError as error:
        raise ServiceError(str(error)) from None
