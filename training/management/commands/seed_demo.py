"""Make the demo: the project Haiku, its people, prompts, demonstrations and base model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from annotations import access, exports, importers
from annotations import services as collecting
from training import selectors, services

PASSWORD = "haiku-demo"  # noqa: S105 - printed at every start, and refused outside a demo
PROJECT = "Haiku"
BASE_MODEL = "SmolLM2-135M-Instruct"
PEOPLE = {
    "alice": "owner",
    "eve": "engineer",
    "carol": "reviewer",
    "bob": "annotator",
    "bea": "annotator",
    "ben": "annotator",
}
KINDS = (
    "demonstration",
    "comparison",
    "ranking",
    "rating",
    "rewrite",
    "assembly",
    "review",
    "conversation",
)
SETTINGS = {
    "counters": ["lines", "syllables"],
    "line_syllables": [5, 7, 5],
    "own_prompts_allowed": True,
    "own_conversations_allowed": True,
}
"""What writers of haikus see counted, and what they may begin of their own accord."""
DEMO_FOLDER = Path(settings.BASE_DIR) / "annotations" / "demo"
GUIDELINES_FOLDER = Path(settings.BASE_DIR) / "docs" / "guidelines"


class Command(BaseCommand):
    """Seeds once; afterwards it only says who can sign in."""

    help = "Make the demo project with its people, prompts, demonstrations and base model (DEMO=1)."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError(
                "seed_demo makes people whose password is public. Set DEMO=1 if this is a demo."
            )
        people = make_people()
        project = project_of(people["alice"]) or make_project(people)
        register_first_sampler(project, people["eve"])
        self.stdout.write(f"  Sign in with the password {PASSWORD} as")
        for username, role in PEOPLE.items():
            shown = "labeller" if role == "annotator" else role  # as the pages say it
            self.stdout.write(f"    {username:<6} {shown}")


def make_people() -> dict[str, Any]:
    """Return the demo's people by name; those that are missing are made."""
    user_model = get_user_model()
    people = {}
    for username in PEOPLE:
        person, is_new = user_model.objects.get_or_create(
            username=username, defaults={"first_name": username.title()}
        )
        if is_new:
            person.set_password(PASSWORD)
            person.save(update_fields=["password"])
        people[username] = person
    return people


def project_of(owner: Any) -> Any:
    """Return the demo project if `owner` has it already."""
    memberships = access.get_projects_for(owner).filter(project__name=PROJECT)
    return next((membership.project for membership in memberships), None)


@transaction.atomic
def make_project(people: dict[str, Any]) -> Any:
    """Return the demo project, filled from the files in the repository: all of it or nothing."""
    alice = people["alice"]
    project = collecting.create_project(
        name=PROJECT,
        description="Short poems in three lines: five, seven and five syllables.",
        created_by=alice,
    )
    for username, role in PEOPLE.items():
        if username != "alice":
            collecting.add_member(project, people[username], role)
    for kind in KINDS:
        text = (GUIDELINES_FOLDER / f"{kind}.md").read_text(encoding="utf-8")
        collecting.publish_guideline(project, kind, text, alice)
    collecting.update_project(project, **SETTINGS)
    collecting.publish_scheme(project, collecting.DEFAULT_QUESTIONS, alice)
    fill(project, alice)
    return project


def fill(project: Any, author: Any) -> None:
    """Add the demo's prompts and haikus, in the order in which their items shall be handed out."""
    prompts, prompt_errors = importers.read_prompts(text_of("prompts.jsonl"), "jsonl")
    haikus, haiku_errors = importers.read_demonstrations(text_of("haikus.jsonl"))
    if prompt_errors or haiku_errors:
        raise CommandError(f"The demo's files are damaged: {[*prompt_errors, *haiku_errors][0]}")
    answered = {str(haiku.messages) for haiku in haikus}
    collecting.import_prompts(
        project,
        [prompt for prompt in prompts if str(prompt.messages) in answered],
        author,
        origin="written",
        as_demonstrations=False,
    )
    collecting.add_demonstrations(project, haikus, author)
    add_first_comparisons(project, haikus)
    collecting.import_prompts(
        project,
        [prompt for prompt in prompts if str(prompt.messages) not in answered],
        author,
        origin="written",
    )


def add_first_comparisons(project: Any, haikus: Sequence[importers.DemonstrationRow]) -> None:
    """Have pairs of haikus on one prompt compared: there is no model's answer to judge yet."""
    rows = exports.prompts(project.pk)
    prompt_ids = {row["prompt"][-1]["content"]: row["prompt_id"] for row in rows}
    texts = defaultdict(list)
    for haiku in haikus:
        texts[haiku.messages[-1]["content"]].append(haiku.completion)
    answers = [
        collecting.Answer(prompt_id=prompt_ids[prompt], text=text, source_name="demo")
        for prompt, several in texts.items()
        if len(several) > 1
        for text in several
    ]
    collecting.add_completions(
        project, answers, kind="comparison", purpose="training", batch="demo"
    )


def text_of(name: str) -> str:
    """Return the text of a demo file."""
    return (DEMO_FOLDER / name).read_text(encoding="utf-8")


def register_first_sampler(project: Any, engineer: Any) -> None:
    """Make the base model the checkpoint that answers prompts until a better one is promoted.

    Its folder is known by its whole path: of an installation that was moved, it follows.
    """
    here = Path(settings.BASE_MODEL_PATH)
    if not here.exists():
        return
    known = project.checkpoints.filter(kind="base", name=BASE_MODEL)
    for moved in known:
        if not Path(moved.path).exists():
            known.filter(pk=moved.pk).update(path=str(here.resolve()))
    base = known.first() or services.register_base(
        project, str(here), BASE_MODEL, created_by=engineer
    )
    if selectors.promoted_checkpoint(project) is None:
        services.promote_checkpoint(
            base, promoted_by=engineer, reason="The base model: the first there is."
        )
