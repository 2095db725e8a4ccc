"""Distinct n-grams and self-BLEU, worked by hand."""

from __future__ import annotations

from math import exp

import pytest

from annotations.algorithms.diversity import distinct, self_bleu


def test_distinct_counts_each_n_gram_once() -> None:
    texts = ["the old pond", "the old frog"]
    assert distinct(texts, 1) == 4 / 6
    assert distinct(texts, 2) == 3 / 4
    assert distinct(texts, 3) == 1
    assert distinct(texts, 4) == 0
    assert distinct([], 1) == 0


def test_self_bleu_agrees_with_a_worked_example() -> None:
    # "a b c d" against "a b c e": 3/4 words, 2/3 pairs, 1/2 triples, no quadruple: 0.1/1
    found = self_bleu(["a b c d", "a b c e"])
    assert found == pytest.approx([(3 / 4 * 2 / 3 * 1 / 2 * 0.1) ** 0.25] * 2)


def test_a_word_matches_no_more_often_than_another_text_has_it() -> None:
    # "a a a" against "a b c": one of three words, none of two pairs, none of one triple
    found = self_bleu(["a a a", "a b c"])
    assert found[0] == pytest.approx((1 / 3 * 0.1 / 2 * 0.1) ** (1 / 3))


def test_a_text_shorter_than_all_others_is_penalised() -> None:
    # all words and the pair are there; the other is twice as long: exp(1 - 4/2)
    assert self_bleu(["a b", "a b c d"])[0] == pytest.approx(exp(-1))


def test_texts_that_say_the_same_have_one_and_strangers_none() -> None:
    assert self_bleu(["snow on the roof tonight"] * 3) == [1, 1, 1]
    assert self_bleu(["snow", "frog", ""]) == [0, 0, 0]
    assert self_bleu(["alone"]) == [0]


def test_the_order_of_the_texts_does_not_matter() -> None:
    texts = ["a frog in a pond", "a frog on a log", "rain in a pond", "a frog in a pond"]
    assert self_bleu(texts[::-1]) == pytest.approx(self_bleu(texts)[::-1])
