"""Every write but leases. Each service is one transaction with the whole rule in it."""

from annotations.services.completions import AddedItems, Answer, add_completions
from annotations.services.preferences import ImportedVotes, import_preferences
from annotations.services.projects import (
    add_member,
    create_project,
    pause_member,
    publish_guideline,
    remove_member,
    resume_member,
    save_guideline_draft,
    set_role,
    update_project,
)
from annotations.services.prompts import ImportedPrompts, add_demonstrations, import_prompts
from annotations.services.rules import ServiceError
from annotations.services.submissions import (
    skip,
    submit_comparison,
    submit_demonstration,
    submit_ranking,
)

__all__ = [
    "AddedItems",
    "Answer",
    "ImportedPrompts",
    "ImportedVotes",
    "ServiceError",
    "add_completions",
    "add_demonstrations",
    "add_member",
    "create_project",
    "import_preferences",
    "import_prompts",
    "pause_member",
    "publish_guideline",
    "remove_member",
    "resume_member",
    "save_guideline_draft",
    "set_role",
    "skip",
    "submit_comparison",
    "submit_demonstration",
    "submit_ranking",
    "update_project",
]
