"""From files to typed rows. Every bad line is listed with its number; nothing is written here.

`uploads` reads what is pasted or has one known form. `formats` reads files of any size and of many
kinds: `containers` takes rows out of them one by one, each format says what a row means.
"""

from annotations.importers.containers import CONTAINERS, Place, UnreadableFile
from annotations.importers.formats import FORMATS, Read, Sample, guess, look_at, read_records
from annotations.importers.reading import TARGETS, Reading
from annotations.importers.records import (
    AnySaid,
    Candidate,
    Chosen,
    Ordered,
    Rated,
    Record,
    Written,
)
from annotations.importers.rows import (
    DemonstrationRow,
    LineError,
    Messages,
    PromptRow,
    user_turn,
)
from annotations.importers.uploads import read_demonstrations, read_prompts

__all__ = [
    "CONTAINERS",
    "FORMATS",
    "TARGETS",
    "AnySaid",
    "Candidate",
    "Chosen",
    "DemonstrationRow",
    "LineError",
    "Messages",
    "Ordered",
    "Place",
    "PromptRow",
    "Rated",
    "Read",
    "Reading",
    "Record",
    "Sample",
    "UnreadableFile",
    "Written",
    "guess",
    "look_at",
    "read_demonstrations",
    "read_prompts",
    "read_records",
    "user_turn",
]
