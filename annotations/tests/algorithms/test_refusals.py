"""What counts as declining to answer."""

from __future__ import annotations

import pytest

from annotations.algorithms.refusals import refuses


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't write that.",
        "I am very sorry.",
        "As an AI language model, I have no feelings.",
        "I cannot help you with this.",
        "I can not do it.",
        "Unfortunately I am unable to answer.",
        "It would be inappropriate to say.",
        "I\u2019m just a language model",
    ],
)
def test_it_knows_the_usual_words(text: str) -> None:
    assert refuses(text)


@pytest.mark.parametrize(
    "text",
    ["", "An old silent pond", "They are sorry, and cannot stay.", "aim sorry", "I can, not"],
)
def test_it_leaves_other_texts_alone(text: str) -> None:
    assert not refuses(text)
