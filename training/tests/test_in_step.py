"""Two texts that are shown in step."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from training.in_step import InStep


def test_the_slower_one_sets_the_pace() -> None:
    texts = InStep()
    assert texts.add(0, "quick as a hare") == ("", "")
    assert texts.add(1, "slow") == ("quic", "slow")
    assert texts.add(1, "ly") == ("k ", "ly")


def test_the_rest_of_the_longer_one_comes_when_both_have_ended() -> None:
    texts = InStep()
    texts.add(1, "Yes.")
    assert texts.end(1) == ("", "")
    assert texts.add(0, "No, and here is why") == ("No, ", "Yes.")
    assert texts.add(0, ": it rains.") == ("", "")
    assert texts.end(0) == ("and here is why: it rains.", "")


@given(
    pieces=st.lists(st.tuples(st.integers(0, 1), st.text(max_size=5)), max_size=20),
    last=st.integers(0, 1),
)
def test_whatever_comes_is_shown_once_in_step_and_to_its_end(
    pieces: list[tuple[int, str]], last: int
) -> None:
    texts = InStep()
    shown = ["", ""]

    def show(more: tuple[str, str]) -> None:
        for side in range(2):
            shown[side] += more[side]

    for side, piece in pieces:
        show(texts.add(side, piece))
        assert len(shown[0]) == len(shown[1])
    show(texts.end(1 - last))
    show(texts.end(last))
    assert shown == ["".join(text for side, text in pieces if side == n) for n in range(2)]
