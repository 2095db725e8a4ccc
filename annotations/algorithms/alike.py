"""Which of many things hold the same, so that these are counted once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Alike:
    """G groups of rows, of M kinds: those of one kind hold the same, in whatever order."""

    kind: Numbers  # (G,) of each group, in the order of their numbers
    times: Numbers  # (M,) how many groups are of each kind
    rows: Numbers  # (R,) the places of the rows of one group of each kind
    kind_of_row: Numbers  # (R,)


def alike(group: Numbers, content: Numbers) -> Alike:
    """Return which groups hold the same; given are the group and the content of each row.

    Groups have any numbers, contents small ones from 0. Groups are told apart by the sum of random
    numbers that stand for what is in them: that two different ones have the same does not happen,
    and sorting numbers is many times faster than sorting rows.

    >>> found = alike(np.array([5, 5, 7, 9, 9]), np.array([0, 1, 1, 1, 0]))
    >>> bool(found.kind[0] == found.kind[2] != found.kind[1]), sorted(found.times)
    (True, [np.int64(1), np.int64(2)])
    """
    order = np.argsort(group, kind="stable")
    begins = np.diff(group[order], prepend=group[order][:1] - 1) != 0
    words = np.random.default_rng(0).integers(0, 2**62, int(content.max(initial=-1)) + 1)
    spelt = words[content[order]]
    if len(spelt):
        spelt = np.add.reduceat(spelt, np.flatnonzero(begins))
    _, first, kind, times = np.unique(
        spelt, return_index=True, return_inverse=True, return_counts=True
    )
    of_row = np.cumsum(begins) - 1
    is_chosen = np.zeros(len(kind), dtype=bool)
    is_chosen[first] = True
    rows = is_chosen[of_row]
    return Alike(kind, times, order[rows], kind[of_row[rows]])
