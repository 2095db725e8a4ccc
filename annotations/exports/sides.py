"""Which completion stood on the left where people chose between two: for habits, not for truth."""

from __future__ import annotations

from annotations.exports.rows import CHUNK, for_training
from annotations.models import Comparison, ConversationChoice


def left_completions(project_id: int) -> dict[tuple[int, int], int]:
    """Return the completion on the left, by annotation and completion on the right.

    Of comparisons and of choices in a conversation that are learned from. A ranking has no sides.
    """
    compared = Comparison.objects.filter(for_training("annotation__", project_id))
    chosen = ConversationChoice.objects.filter(
        for_training("conversation__annotation__", project_id)
    )
    shown = (
        compared.values_list("annotation_id", "left_id", "right_id"),
        chosen.values_list("conversation_id", "left_id", "right_id"),
    )
    return {
        (annotation, right): left
        for rows in shown
        for annotation, left, right in rows.iterator(chunk_size=CHUNK)
    }
