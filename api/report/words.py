"""What a report says, in English and Chinese, and how it writes numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


@dataclass(frozen=True, slots=True)
class Words:
    """The same in both languages."""

    en: str
    zh: str

    @classmethod
    def same(cls, text: str) -> "Words":
        """What needs no translation: a number, a name that somebody gave."""
        return cls(text, text)

    def of(self, language: Language) -> str:
        """In one language."""
        return self.en if language == "en" else self.zh

    def __add__(self, other: "Words | str") -> "Words":
        more = Words.same(other) if isinstance(other, str) else other
        return Words(self.en + more.en, self.zh + more.zh)


LEVELS: Mapping[int, Words] = {
    1: Words("L1 red", "一级 红"),
    2: Words("L2 orange", "二级 橙"),
    3: Words("L3 yellow", "三级 黄"),
    4: Words("L4 blue", "四级 蓝"),
}

KINDS: Mapping[str, Words] = {
    "crowd.density": Words("Crowd density", "人群密度"),
    "crowd.flow": Words("Crowd flow", "人流"),
    "crowd.counterflow": Words("Counterflow", "人群对冲"),
    "crowd.pressure": Words("Crowd pressure", "人群压力"),
    "crowd.surge": Words("Crowd surge", "人群涌动"),
    "crowd.forecast": Words("Crowd forecast", "人群预测"),
    "hazard.intrusion": Words("Restricted zone entered", "进入禁区"),
    "hazard.line": Words("Line crossed", "越线"),
    "hazard.wrongway": Words("Wrong way", "逆行"),
    "hazard.fall": Words("Fall", "跌倒"),
    "hazard.abandoned": Words("Object left", "遗留物"),
    "hazard.removed": Words("Object taken away", "物品移除"),
    "hazard.forbidden_object": Words("Object not allowed here", "违禁物品"),
    "hazard.fire": Words("Fire or smoke", "烟火"),
    "hazard.obstruction": Words("Exit obstructed", "通道占用"),
    "camera.moved": Words("Camera moved", "摄像机移位"),
    "motion.unusual": Words("Unusual motion", "异常运动"),
}


def kind_words(kind: str) -> Words:
    """An event's family and name in words; as it is where it has none."""
    return KINDS.get(kind, Words.same(kind))


def number(value: float) -> str:
    """A measured value, of any unit, with two or three figures that mean something.

    >>> number(0.0412), number(5.238), number(41.6), number(1234.4), number(3.0)
    ('0.041', '5.24', '41.6', '1234', '3')
    """
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    digits = 0 if size >= 1000 else 1 if size >= 10 else 2 if size >= 0.1 else 3
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def with_error(value: float, stderr: float | None) -> str:
    """A value and its standard error in the same unit, rounded alike.

    >>> with_error(41.63, 2.21), with_error(5.2381, 0.624), with_error(3, None), with_error(0.5, 0.0)
    ('41.6 ± 2.2', '5.24 ± 0.62', '3', '0.5')
    """
    if stderr is None or not stderr > 0 or not math.isfinite(stderr):
        return number(value)
    digits = 1 if stderr >= 1 else min(3, 1 - math.floor(math.log10(stderr)))
    return f"{value:.{digits}f} ± {stderr:.{digits}f}"


def clock(seconds: float, *, tenths: bool = False) -> str:
    """Time in the clip: minutes and seconds, hours where there are any.

    >>> clock(75), clock(3 * 3600 + 62), clock(9.96, tenths=True), clock(59.7)
    ('1:15', '3:01:02', '0:10.0', '1:00')
    """
    ticks = round(seconds * 10) if tenths else round(seconds) * 10
    minutes, rest = divmod(ticks, 600)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 10:04.1f}" if tenths else f"{rest // 10:02d}"
    return f"{hours}:{minutes:02d}:{text}" if hours else f"{minutes}:{text}"
