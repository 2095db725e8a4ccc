"""What the benchmarks of training write about."""

from __future__ import annotations

import random

THINGS = (
    "rain", "a frog", "the winter sea", "an old clock", "first snow", "a stray cat", "moonlight",
    "a train at night", "the harvest", "fog", "a paper kite", "tea",
)  # fmt: skip
PLACES = ("in the city", "by the river", "at dawn", "in an empty house", "after the storm")
LINES = (
    "the old pond is still", "a small wind turns the leaves", "night settles on stone",
    "somewhere a door is closing", "light moves on water", "the kettle begins to sing",
    "nobody comes home", "the road bends into the dark",
)  # fmt: skip


def haiku_prompts() -> list[str]:
    """Return sixty prompts of a few words each."""
    return [f"Write a haiku about {thing} {place}." for thing in THINGS for place in PLACES]


def answers(prompt: int, count: int) -> list[str]:
    """Return different made-up answers of three lines, best first."""
    drawn = random.Random(prompt)
    return ["\n".join(drawn.sample(LINES, 3)) + f" {number}" for number in range(count)]
