"""The nouns of collecting: who labels what, under which guidelines, and what they said.

Everything a trainer ever reads comes from `Annotation` and its payloads. They are immutable:
a correction is a new annotation that supersedes the old one.
"""

from annotations.models.adjudications import Adjudication
from annotations.models.annotations import (
    Annotation,
    Assembly,
    AssemblyPart,
    Comparison,
    CorrectionDraft,
    Demonstration,
    RankedCompletion,
    Ranking,
    Rating,
    RatingAnswer,
    Retraction,
    Review,
    Rewrite,
    in_force,
)
from annotations.models.api_tokens import ApiAnswer, ApiToken, Scope
from annotations.models.arena import Battle
from annotations.models.conversations import Conversation, ConversationChoice, Turn
from annotations.models.daily import DailyCost, DailyNews, DailyState, DailyWork
from annotations.models.draws import Draw, Weighing
from annotations.models.flags import AutomaticPause, FlagDecision
from annotations.models.guidelines import GuidelineCase, GuidelineDraft, KnownAnswer
from annotations.models.imports import Import
from annotations.models.invitations import Invitation
from annotations.models.items import Arm, Assignment, AssignmentEvent, Item
from annotations.models.pay import PayEntry, PayRate
from annotations.models.people import HeldOut, MemberNote, held_out
from annotations.models.projects import (
    EVALUATION,
    GENERAL,
    GUIDELINE_PARTS,
    WRITTEN_KINDS,
    GuidelineAcknowledgement,
    GuidelineVersion,
    Kind,
    Membership,
    Project,
    Question,
    RatingScheme,
    Role,
    User,
)
from annotations.models.prompts import Completion, Message, Prompt, Split
from annotations.models.qualification import (
    Group,
    KindDecision,
    KindRule,
    PracticeItem,
    ScreeningAnswer,
    TestAttempt,
    TestVerdict,
)
from annotations.models.reask import Reask, ReaskedItem
from annotations.models.recalls import Recall, counted, recalled, recalls_in_force
from annotations.models.scores import CompletionScore
from annotations.models.sign_in import SignInAttempt
from annotations.models.tickets import RegressionCase, Ticket, TicketEvent, TicketReport
from annotations.models.two_factor import RecoveryCode, TwoFactor

__all__ = [
    "EVALUATION",
    "GENERAL",
    "GUIDELINE_PARTS",
    "WRITTEN_KINDS",
    "Adjudication",
    "Annotation",
    "ApiAnswer",
    "ApiToken",
    "Arm",
    "Assembly",
    "AssemblyPart",
    "Assignment",
    "AssignmentEvent",
    "AutomaticPause",
    "Battle",
    "Comparison",
    "Completion",
    "CompletionScore",
    "Conversation",
    "ConversationChoice",
    "CorrectionDraft",
    "DailyCost",
    "DailyNews",
    "DailyState",
    "DailyWork",
    "Demonstration",
    "Draw",
    "FlagDecision",
    "Group",
    "GuidelineAcknowledgement",
    "GuidelineCase",
    "GuidelineDraft",
    "GuidelineVersion",
    "HeldOut",
    "Import",
    "Invitation",
    "Item",
    "Kind",
    "KindDecision",
    "KindRule",
    "KnownAnswer",
    "MemberNote",
    "Membership",
    "Message",
    "PayEntry",
    "PayRate",
    "PracticeItem",
    "Project",
    "Prompt",
    "Question",
    "RankedCompletion",
    "Ranking",
    "Rating",
    "RatingAnswer",
    "RatingScheme",
    "Reask",
    "ReaskedItem",
    "Recall",
    "RecoveryCode",
    "RegressionCase",
    "Retraction",
    "Review",
    "Rewrite",
    "Role",
    "Scope",
    "ScreeningAnswer",
    "SignInAttempt",
    "Split",
    "TestAttempt",
    "TestVerdict",
    "Ticket",
    "TicketEvent",
    "TicketReport",
    "Turn",
    "TwoFactor",
    "User",
    "Weighing",
    "counted",
    "held_out",
    "in_force",
    "recalled",
    "recalls_in_force",
]
