"""The haiku rubric: words counted by hand, poems scored by hand, and texts of any kind."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from annotations.algorithms.haiku import (
    WORST_SCORE,
    count_by_rules,
    count_line_syllables,
    count_syllables,
    find_poem,
    find_subject,
    is_on_topic,
    load_readings,
    score_form,
    score_haiku,
    stem,
)

POND = "Write a haiku about an old pond."
GOOD = "An old silent pond\nA small green frog jumps in it\nRipples, then silence"

COUNTED_BY_HAND = {
    # plain
    "a": 1, "cat": 1, "stone": 1, "through": 1, "strength": 1, "queue": 1, "window": 2,
    "river": 2, "autumn": 2, "silence": 2, "island": 2, "banana": 3, "potato": 3,
    "remember": 3, "umbrella": 3, "butterfly": 3, "watermelon": 4, "electricity": 5,
    "refrigerator": 5, "imagination": 5, "responsibility": 6,
    # silent and spoken endings
    "walked": 1, "jumped": 1, "wanted": 2, "landed": 2, "folded": 2, "boxes": 2, "wishes": 2,
    "roses": 2, "leaves": 1, "waves": 1, "makes": 1, "table": 2, "little": 2, "apples": 2,
    "blessed": 1, "closes": 2,
    # vowels said together or apart
    "rain": 1, "coin": 1, "house": 1, "idea": 3, "lion": 2, "create": 2, "radio": 3,
    "piano": 3, "being": 2, "quiet": 2, "ruin": 2, "museum": 3, "science": 2, "ocean": 2,
    "rhythm": 2,
    # doubtful: the reading that was chosen
    "fire": 1, "hour": 1, "our": 1, "tired": 1, "wire": 1, "every": 2, "everything": 3,
    "entire": 2, "wildfire": 2, "fireflies": 2, "poem": 2, "flower": 2, "power": 2, "shower": 2,
    "towel": 2, "evening": 2, "chocolate": 2, "camera": 3, "family": 3, "different": 3,
    "world": 1, "girl": 1, "smile": 1, "while": 1, "orange": 2, "prayer": 1, "mirror": 2,
    # apostrophes, hyphens, numerals, accents
    "don't": 1, "didn't": 2, "it's": 1, "moon's": 1, "fox's": 2, "it'll": 2, "half-lit": 2,
    "twenty-one": 3, "mother-in-law": 4, "7": 2, "10": 1, "21": 3, "100": 3, "1999": 5, "1905": 4,
    "2024": 6, "007": 6, "café": 2, "naïve": 2,
    # not in the dictionary
    "frogsong": 2, "zorbled": 2, "blintered": 2, "snarfing": 2, "mooncakes": 2, "glimmerfish": 3,
}  # fmt: skip


@pytest.mark.parametrize(("word", "syllables"), COUNTED_BY_HAND.items())
def test_it_counts_as_people_do(word: str, syllables: int) -> None:
    assert count_syllables(word) == syllables
    assert count_syllables(word.upper()) == syllables


def test_it_was_checked_on_enough_words() -> None:
    assert len(COUNTED_BY_HAND) >= 60


def test_it_spells_nine_words_in_ten_right_without_the_dictionary() -> None:
    words = {word: count for word, count in load_readings().items() if word.isalpha()}
    sample = sorted(words)[::25]
    right = sum(count_by_rules(word) == words[word] for word in sample)
    assert right / len(sample) > 0.9


@pytest.mark.parametrize("nothing", ["", " ", "—", "...", "!?", "\x00", "\n\n", "🌸"])
def test_it_counts_nothing_in_what_is_no_word(nothing: str) -> None:
    assert count_syllables(nothing) == 0
    assert count_line_syllables(nothing) == 0


def test_it_counts_a_line_with_its_punctuation() -> None:
    assert count_line_syllables("The moon’s half-lit — don’t wait!") == 6
    assert count_line_syllables("7 small frogs") == 4


def test_it_gives_a_perfect_haiku_nothing_to_lose() -> None:
    score = score_haiku(POND, GOOD)
    assert score.total == 0
    assert score.syllables == (5, 7, 5)
    assert score.lines == tuple(GOOD.splitlines())


@pytest.mark.parametrize(
    ("lines", "points"),
    [
        ([5, 7, 5], 0),
        ([5, 7, 4], -0.25),
        ([7, 5, 5], -1),
        ([5, 7], -2.25),
        ([5, 7, 5, 5], -1),
        ([17], -2 - 3 - 3),
        ([], -3 - 4.25),
    ],
)
def test_it_prices_lines_and_syllables(lines: list[int], points: float) -> None:
    assert score_form(lines) == points


def test_it_takes_half_a_point_for_another_subject() -> None:
    score = score_haiku("Write a haiku about a train.", GOOD)
    assert (score.topic, score.total) == (-0.5, -0.5)


def test_it_takes_half_a_point_for_a_line_that_comes_twice() -> None:
    text = "An old silent pond\nA small green frog jumps in it\nAn old, silent pond!"
    score = score_haiku(POND, text)
    assert (score.repetition, score.total) == (-0.5, -0.5)


def test_it_takes_half_a_point_for_a_word_that_comes_three_times() -> None:
    score = score_haiku(
        POND, "Pond, pond, silent pond\nA small green frog jumps in it\nIt is so quiet"
    )
    assert (score.repetition, score.total) == (-0.5, -0.5)


def test_it_lets_small_words_come_often() -> None:
    text = "The pond and the frog\nThe rain and the wind and me\nThe end of the road"
    assert score_haiku(POND, text).repetition == 0


@pytest.mark.parametrize(
    "framed",
    [
        f"Sure!\n{GOOD}",
        f"Sure! Here is a haiku about an old pond:\n\n{GOOD}",
        f"Here's your haiku:\n{GOOD}",
        f"Here’s a poem about a pond.\n\n{GOOD}",
        f"Haiku:\n{GOOD}",
        f"Title: The Pond\n\n{GOOD}",
        f"# The Pond\n{GOOD}",
        f"**The Pond**\n\n{GOOD}",
        f"The Pond\n\n{GOOD}",
        f'"{GOOD}"',
        f"“{GOOD}.”",
        "\n".join(f"> {line}" for line in GOOD.splitlines()),
        "\n".join(f"*{line}*" for line in GOOD.splitlines()),
        "\n".join(f"{n}. {line}" for n, line in enumerate(GOOD.splitlines(), 1)),
        "\n".join(f"{line} ({n})" for n, line in zip((5, 7, 5), GOOD.splitlines(), strict=True)),
        f"```\n{GOOD}\n```",
        f"---\n{GOOD}\n---",
        f"{GOOD}\n\nI hope you like this haiku!",
        f"{GOOD}\n\nThis haiku captures the quiet of a pond.\nIt does so well.",
        f"Certainly! Here is a haiku:\n\n**{GOOD}**\n\nLet me know if you want another.",
    ],
)
def test_it_takes_half_a_point_for_chatter_and_judges_the_rest(framed: str) -> None:
    score = score_haiku(POND, framed)
    assert score.syllables == (5, 7, 5)
    assert (score.chatter, score.total) == (-0.5, -0.5)


@pytest.mark.parametrize(
    "text",
    [
        "Here is the river\nand here is the old grey pond\nand here is the rain",
        "Sure of the old pond\nthe small frog sits on his leaf\nand will not jump in",
        "“Come in,” says the pond\nThe small green frog thinks it through\n“No,” he says, and sits",
        "I hope for the rain\nThe pond hopes along with me\nThis is what we do",
    ],
)
def test_it_does_not_take_verse_for_chatter(text: str) -> None:
    assert find_poem(text).has_chatter is False
    assert len(find_poem(text).lines) == 3


@pytest.mark.parametrize(
    "same",
    [
        GOOD.replace("\n", "\n\n"),
        GOOD.replace("\n", "  \r\n"),
        f"\n\n  {GOOD}\t\n \n",
        GOOD.upper(),
        GOOD.replace(",", " —"),
        GOOD.replace("silent pond", "silent pond…"),
        GOOD.replace("pond", "po\u0301nd"),
    ],
)
def test_it_overlooks_space_dashes_and_case(same: str) -> None:
    assert score_haiku(POND, same).total == 0


def test_it_reads_curly_apostrophes_as_straight_ones() -> None:
    text = "The pond isn't deep\nIt doesn't know what I know\nabout the frog's leap"
    assert score_haiku(POND, text).total == 0
    assert score_haiku(POND, text.replace("'", "’")).total == 0


def test_it_notices_swapped_lines() -> None:
    first, second, third = GOOD.splitlines()
    assert score_haiku(POND, "\n".join([second, first, third])).total == -1
    assert score_haiku(POND, "\n".join([first, third, second])).total == -1


@pytest.mark.parametrize(
    "empty", ["", " ", "\n\n", "...", "\u200b", "Here is a haiku about a pond:"]
)
def test_it_gives_a_text_without_a_poem_the_worst_score(empty: str) -> None:
    assert score_haiku(POND, empty).total == WORST_SCORE


def test_it_gives_prose_a_bad_score() -> None:
    prose = "Ponds are small bodies of still water that are home to frogs, fish and many insects."
    assert score_haiku(POND, prose).total < -4


@pytest.mark.parametrize(
    ("prompt", "subject"),
    [
        ("Write a haiku about a stray cat.", ["stray", "cat"]),
        ("A haiku on the office printer, please.", ["office", "printer"]),
        ("Can you write a haiku about my grandmother's hands?", ["grandmother's", "hands"]),
        ("Describe love in a haiku.", ["love"]),
        ("Write a haiku.", []),
        ("", []),
    ],
)
def test_it_finds_the_subject_of_a_prompt(prompt: str, subject: list[str]) -> None:
    assert find_subject(prompt) == subject


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("leaves", "A leaf"),
        ("a runner", "She is running"),
        ("loneliness", "So lonely"),
        ("snow", "Snowflakes"),
        ("moonlight", "The moon"),
        ("a honeybee", "One bee"),
        ("the city", "All cities sleep"),
        ("my grandmother's hands", "her hand"),
        ("", "Anything"),
    ],
)
def test_it_sees_the_subject_in_other_forms(subject: str, text: str) -> None:
    assert is_on_topic(f"Write a haiku about {subject}.", text)


@pytest.mark.parametrize(
    ("subject", "text"),
    [("a star", "The start"), ("a car", "A carpet"), ("a cat", "A catalogue"), ("snow", "Now")],
)
def test_it_is_not_fooled_by_letters(subject: str, text: str) -> None:
    assert not is_on_topic(f"Write a haiku about {subject}.", text)


any_text = st.text(st.characters(exclude_categories=()), max_size=200)
verse_text = st.text(st.sampled_from("aeilnorst'’-—\"“”*#>_`~.:!() \n157"), max_size=120)


@given(prompt=any_text, text=any_text | verse_text)
@example(prompt="\ud800", text="\udfff\n\x00'\n''")
@example(prompt="9" * 5000, text="٣²½ ⅷ\n9" + "9" * 5000)
@example(prompt="''", text="“”\n«»\n'’s")
def test_it_scores_any_text_between_worst_and_perfect(prompt: str, text: str) -> None:
    score = score_haiku(prompt, text)
    assert WORST_SCORE <= score.total <= 0
    assert score.total == score.form + score.topic + score.repetition + score.chatter
    assert len(score.lines) == len(score.syllables)
    assert (score.total == 0) is (
        score.syllables == (5, 7, 5) and not (score.topic or score.repetition or score.chatter)
    )
    assert score == score_haiku(prompt, text)


@given(any_text | verse_text)
def test_it_counts_any_text_without_fail(text: str) -> None:
    assert count_syllables(text) >= 0
    assert len(stem(text)) <= len(text) + 1


@given(st.lists(st.integers(0, 40), max_size=12))
def test_it_scores_form_best_at_five_seven_five(syllables: list[int]) -> None:
    assert (score_form(syllables) == 0) is (syllables == [5, 7, 5])


@pytest.mark.parametrize(
    "piece", ["a\n", "((1 ", '"#*_ ', "haiku ", "Sure! haiku", "'", "\n ", "1 (  ", "aeiou", "**"]
)
def test_it_reads_a_huge_paste_to_its_end(piece: str) -> None:
    """A pattern that backtracks would not come back from these."""
    huge = piece * (100_000 // len(piece))
    assert score_haiku(POND, huge).total == WORST_SCORE
