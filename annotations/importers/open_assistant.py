"""Open-Assistant: trees of messages, whose replies people ranked (rank 0 is the best)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from annotations.importers.judging import tiers_of
from annotations.importers.parsing import MAX_TURNS, messages_of, name_of
from annotations.importers.reading import MOST_CANDIDATES, Reading, completion_in
from annotations.importers.records import Candidate, Ordered, Record, Written
from annotations.importers.rows import BadLine

RANKERS = "open-assistant"
"""The ranks of a tree are what several people said put together, so they are one voice."""


def is_of(row: Mapping[str, Any]) -> bool:
    """Return whether a row is a tree."""
    prompt = row.get("prompt")
    return "message_tree_id" in row and isinstance(prompt, dict) and "replies" in prompt


def records(row: Mapping[str, Any], reading: Reading) -> Iterator[Record]:
    """Yield each prompt of the tree with the replies to it.

    Ranked replies are a ranking, and the best of them, or the only one, is an ideal answer if a
    person wrote it.
    """
    root = row.get("prompt")
    if not isinstance(root, dict):
        raise BadLine("A tree needs its first message in “prompt”.")
    if not root.get("deleted"):
        yield from _of_node(root, [], row.get("message_tree_id"))


def _of_node(node: Mapping[str, Any], before: list[dict[str, Any]], tree: Any) -> Iterator[Record]:
    if len(before) >= MAX_TURNS:
        raise BadLine(f"The tree is deeper than {MAX_TURNS} messages.")
    role = "user" if node.get("role") == "prompter" else "assistant"
    turns = [*before, {"role": role, "content": node.get("text")}]
    replies = node.get("replies") or []
    if not isinstance(replies, list) or not all(isinstance(one, dict) for one in replies):
        raise BadLine("The replies of a message have to be a list of messages.")
    kept = [one for one in replies if not one.get("deleted")]
    if role == "user" and kept:
        yield _record(turns, kept, node, is_root=not before, tree=tree)
    for reply in kept:
        yield from _of_node(reply, turns, tree)


def _record(
    turns: list[dict[str, Any]],
    replies: list[Any],
    node: Mapping[str, Any],
    *,
    is_root: bool,
    tree: Any,
) -> Record:
    ranked = sorted(
        (one for one in replies if isinstance(one.get("rank"), int)), key=lambda one: one["rank"]
    )[:MOST_CANDIDATES]
    tiers = tiers_of({place: one["rank"] for place, one in enumerate(ranked)})
    best = replies[0] if len(replies) == 1 else None
    if len(ranked) > 1:
        best = ranked[0] if len(tiers[0]) == 1 else None
    said: list[Ordered | Written] = []
    candidates: tuple[Candidate, ...] = ()
    if len(ranked) > 1:
        candidates = tuple(
            Candidate(completion_in(one.get("text"), "text"), name_of(one, "model_name"))
            for one in ranked
        )
        said.append(Ordered(annotator=RANKERS, tiers=tiers))
    if best is not None and not best.get("synthetic"):
        author = name_of(best, "user_id") or RANKERS
        said.append(Written(annotator=author, text=completion_in(best.get("text"), "text")))
    identity = {"id": tree if is_root else node.get("message_id")}
    return Record(
        messages=messages_of({"prompt": turns}),
        candidates=candidates,
        said=tuple(said),
        external_id=name_of(identity, "id"),
    )
