"""Every write but leases. Each service is one transaction with the whole rule in it."""

from annotations.services.assemblies import submit_assembly
from annotations.services.assignments import (
    SavedDraft,
    acknowledge,
    discard_correction,
    measure,
    save_correction_draft,
    save_draft,
    undo,
)
from annotations.services.completions import AddedItems, Answer, add_completions
from annotations.services.conversations import (
    Reply,
    WaitingTurn,
    answer_turn,
    claim_waiting_turns,
    fail_turn,
    has_waiting_turns,
    release_turn,
    report_turn_progress,
)
from annotations.services.gold import GOLD_KINDS, make_gold
from annotations.services.people import change_keys, reset_keys
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
from annotations.services.prompts import (
    ImportedPrompts,
    add_demonstrations,
    import_prompts,
    write_own_prompt,
)
from annotations.services.rate import submit_rating
from annotations.services.rating_schemes import (
    DEFAULT_QUESTIONS,
    publish_scheme,
    save_scheme_draft,
    scheme_draft,
    scheme_in_force,
)
from annotations.services.reviews import submit_review
from annotations.services.rewrites import submit_rewrite
from annotations.services.rules import ServiceError
from annotations.services.submissions import (
    annotation_in_force,
    skip,
    submit_comparison,
    submit_demonstration,
    submit_ranking,
)
from annotations.services.turns import (
    MAX_TURNS,
    add_conversations,
    ask_again,
    pick,
    pick_again,
    say,
    start_conversation,
    submit_conversation,
)

__all__ = [
    "DEFAULT_QUESTIONS",
    "GOLD_KINDS",
    "MAX_TURNS",
    "AddedItems",
    "Answer",
    "ImportedPrompts",
    "ImportedVotes",
    "Reply",
    "SavedDraft",
    "ServiceError",
    "WaitingTurn",
    "acknowledge",
    "add_completions",
    "add_conversations",
    "add_demonstrations",
    "add_member",
    "annotation_in_force",
    "answer_turn",
    "ask_again",
    "change_keys",
    "claim_waiting_turns",
    "create_project",
    "discard_correction",
    "fail_turn",
    "has_waiting_turns",
    "import_preferences",
    "import_prompts",
    "make_gold",
    "measure",
    "pause_member",
    "pick",
    "pick_again",
    "publish_guideline",
    "publish_scheme",
    "release_turn",
    "remove_member",
    "report_turn_progress",
    "reset_keys",
    "resume_member",
    "save_correction_draft",
    "save_draft",
    "save_guideline_draft",
    "save_scheme_draft",
    "say",
    "scheme_draft",
    "scheme_in_force",
    "set_role",
    "skip",
    "start_conversation",
    "submit_assembly",
    "submit_comparison",
    "submit_conversation",
    "submit_demonstration",
    "submit_ranking",
    "submit_rating",
    "submit_review",
    "submit_rewrite",
    "undo",
    "update_project",
    "write_own_prompt",
]
