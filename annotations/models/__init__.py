"""The nouns of collecting: who labels what, under which guidelines, and what they said.

Everything a trainer ever reads comes from `Annotation` and its payloads. They are immutable:
a correction is a new annotation that supersedes the old one.
"""

from annotations.models.annotations import (
    Annotation,
    Comparison,
    Demonstration,
    RankedCompletion,
    Ranking,
)
from annotations.models.items import Assignment, Item
from annotations.models.projects import GuidelineVersion, Kind, Membership, Project, Role, User
from annotations.models.prompts import Completion, Message, Prompt, Split

__all__ = [
    "Annotation",
    "Assignment",
    "Comparison",
    "Completion",
    "Demonstration",
    "GuidelineVersion",
    "Item",
    "Kind",
    "Membership",
    "Message",
    "Project",
    "Prompt",
    "RankedCompletion",
    "Ranking",
    "Role",
    "Split",
    "User",
]
