"""Which pictures train and which validate: a function of the file's name, so that it never changes."""

import hashlib
import re
from typing import Literal

SHARE = 5
"""One in so many blocks of time validates."""

TRAINING_SEED = 1000
"""Worlds of the simulator's scenarios with seeds from here on train, others validate."""

_SEED = re.compile(r"seed(\d+)")
_STAMP = re.compile(r"(\d{8})(\d{3})\d{3}")


def split_of(name: str) -> Literal["train", "validation"]:
    """The side a picture is on, by the ten minutes it was taken in.

    Pictures of one camera a few seconds apart show the same people, so a time stamp in the name
    (YYYYMMDDhhmmss, as in `1-20170506111156.jpg`) counts by its first eleven digits, for all cameras alike;
    drawn pictures of one world, by its seed (`seed1234`); any other name counts whole.
    """
    seed = _SEED.search(name)
    if seed:
        return "train" if int(seed[1]) >= TRAINING_SEED else "validation"
    stamp = _STAMP.search(name)
    block = "".join(stamp.groups()) if stamp else name
    digest = int(hashlib.sha256(block.encode()).hexdigest(), 16)
    return "validation" if digest % SHARE == 0 else "train"
