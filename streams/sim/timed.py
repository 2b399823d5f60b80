"""Lines of text that say what happens when: `KIND[:WORD][:NUMBER][@BEGIN[-END]]`, with commas between."""

import math
import re
from dataclasses import dataclass

from streams.errors import SourceUrlError

_FORM = re.compile(r"([a-z]+)((?::[a-z0-9.]+)*)(?:@(\d+(?:\.\d*)?)(?:-(\d+(?:\.\d*)?)?)?)?")


@dataclass(frozen=True, slots=True)
class Timed:
    """Something that happens for a time.

    Attributes:
        kind: what.
        word: which way of it, or empty.
        strength: factor on its usual strength; 1 unless told.
        begin_s, end_s: scene time; from the beginning and for ever unless told.
    """

    kind: str
    word: str
    strength: float
    begin_s: float
    end_s: float


def parse_timed(text: str, example: str) -> tuple[Timed, ...]:
    """Understand such a line; an empty one is nothing at all.

    >>> parse_timed("freeze:clock@20-40", "")
    (Timed(kind='freeze', word='clock', strength=1.0, begin_s=20.0, end_s=40.0),)

    Raises:
        SourceUrlError: the text is something else; `example` is what it should look like.
    """
    return tuple(_timed(part, example) for part in text.split(",")) if text else ()


def _timed(text: str, example: str) -> Timed:
    match = _FORM.fullmatch(text)
    if match is None:
        raise SourceUrlError(f"{example}, got {text!r}")
    kind, words, begin, end = match.groups()
    word, strength = "", 1.0
    for one in words.split(":")[1:]:
        try:
            strength = float(one)
        except ValueError:
            word = one
    return Timed(kind, word, strength, float(begin or 0.0), float(end) if end else math.inf)
