"""The report as one HTML file that fetches nothing, or as one picture to paste."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from api.errors import USAGE, CommandError
from api.report import palette
from api.report.chart import WIDTH, Thresholds, other_card, steps_of, zone_card
from api.report.drawing import Sheet, Stroke, text_width
from api.report.gather import Gathering
from api.report.ground_map import Marks, ground_maps, why_none
from api.report.raster import paint
from api.report.svg import escape, in_both, write
from api.report.words import Language, Words, clock, number
from edge.config import CameraConfig
from edge.rules.crowd_density import DensityRule
from edge.site import Site, Zone

SUFFIXES = (".html", ".png")
PNG_ZONES = 8
"""A picture to paste shows the worst zones, no more: it must stay readable."""

_NAME = Words("Sharp Eyes · report on a clip", "Sharp Eyes · 视频分析报告")
_NOTES = (
    Words("No camera picture is in this report, by design.", "按设计，本报告不含任何画面。"),
    Words("Levels are system prompts, not official warnings.", "级别为「系统提示」，不是政府发布的预警。"),
    Words(
        "Bands: one standard error of a count in one picture; whom the detector never sees is not in them.",
        "色带为单幅画面计数的一倍标准误差，不含检测模型始终看不到的人。",
    ),
    Words(
        "Curves are means of each stretch of time; that of the worst cell is its highest value.",
        "曲线为各时段平均值；最密处取各时段最大值。",
    ),
)


@dataclass(frozen=True, slots=True)
class About:
    """What a report is of.

    Attributes:
        source: the clip's address, without credentials.
        camera: as which it was analysed.
        detector: name of the model.
    """

    source: str
    camera: CameraConfig
    detector: str


@dataclass(frozen=True, slots=True)
class Report:
    """A report before it is written.

    Attributes:
        facts: what it is of, name and value.
        cards: its drawings: the map, then zones, the worst first, then what belongs to no zone.
        troubles: what is missing, and the cure.
        notes: how to read it.
    """

    facts: tuple[tuple[Words, Words], ...]
    cards: tuple[Sheet, ...]
    troubles: tuple[Words, ...]
    notes: tuple[Words, ...]


def check_name(path: Path) -> None:
    """Refuse a file that could not be written, before a long clip is analysed.

    Raises:
        CommandError: the name ends in neither .html nor .png, or there is no such folder.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise CommandError(
            f"{path}: --plot writes HTML or PNG: give a name that ends in .html or .png", USAGE
        )
    if not path.parent.is_dir():
        raise CommandError(f"{path}: there is no folder {path.parent}", USAGE)


def build(gathered: Gathering, about: About) -> Report:
    """Lay out a report."""
    site, rules = gathered.site, about.camera.rules
    cards: list[Sheet] = []
    troubles: list[Words] = []
    if site.ground is not None and gathered.spread is not None:
        if gathered.spread.looks:
            cards.append(ground_maps(gathered, _marks(gathered, about.camera)))
    else:
        troubles.extend(why_none(site, about.camera.id))
    if not gathered.looks:
        troubles.append(Words("No picture of this clip could be analysed.", "视频中没有可分析的画面。"))
    zones = sorted(site.zones, key=lambda zone: _badness(gathered, zone))
    cards.extend(zone_card(gathered, zone, Thresholds.of(zone, rules)) for zone in zones)
    if (others := other_card(gathered)) is not None:
        cards.append(others)
    notes = [*_NOTES]
    if omitted := gathered.spans.omitted:
        notes.append(Words(f"{omitted} more incidents are not drawn.", f"另有 {omitted} 起事件未画出。"))
    return Report(tuple(_facts(gathered, about)), tuple(cards), tuple(troubles), tuple(notes))


def save(path: Path, report: Report, language: Language = "en") -> None:
    """Write a report as what its name ends in.

    Raises:
        CommandError: it ends in neither .html nor .png, or there is no such folder.
        OSError: it cannot be written.
    """
    check_name(path)
    if path.suffix.lower() == ".html":
        path.write_text(html(report, language), encoding="utf-8")
    else:
        path.write_bytes(png(report, language))


def _badness(gathered: Gathering, zone: Zone) -> tuple[int, float, float]:
    """Sorts the worst zone first: by level, then worst cell, then people."""
    trace = gathered.traces[zone.id]
    spans = (span.worst for span in gathered.spans.all if span.zone == zone.id)
    return min(spans, default=5), -trace.density.value, -trace.count.value


def _marks(gathered: Gathering, camera: CameraConfig) -> Marks:
    """The thresholds of the zone with the worst cell, else of the first rule, else the usual ones."""
    rules = {rule.zone: rule for rule in camera.rules if isinstance(rule, DensityRule)}
    worst = gathered.spread.worst if gathered.spread else None
    rule = rules.get(worst.cell.zone) if worst else None
    rule = rule or next(iter(rules.values()), None)
    if rule is None:
        usual = DensityRule(kind="crowd.density", zone="zone")
        whose = Words(
            "Thresholds L4 to L1 on the scale: the usual ones; no rule watches density here.",
            "色标上的 L4–L1 为常用阈值；此处没有密度规则。",
        )
        return Marks(steps_of(usual), whose)
    whose = Words(
        f"Thresholds L4 to L1 on the scale: of the crowd.density rule of zone {rule.zone}.",
        f"色标上的 L4–L1 为区域 {rule.zone} 的 crowd.density 规则阈值。",
    )
    return Marks(steps_of(rule), whose)


def _facts(gathered: Gathering, about: About) -> list[tuple[Words, Words]]:
    begin_s, end_s = gathered.bins.begin_s, gathered.bins.end_s
    place = f" · {about.camera.place.name}" if about.camera.place.name else ""
    length = end_s - begin_s
    rate = f" ({number((gathered.looks - 1) / length)}/s)" if gathered.looks > 1 and length > 0 else ""
    return [
        (Words("Clip", "视频"), Words.same(about.source)),
        (Words("Camera", "摄像机"), Words.same(about.camera.id + place)),
        (Words("Time in the clip", "视频时间"), Words.same(f"{clock(begin_s)} – {clock(end_s)}")),
        (Words("Pictures analysed", "分析画面"), Words.same(f"{gathered.looks}{rate}")),
        (Words("Ground", "地面"), _ground(gathered.site)),
        (Words("Detector", "检测模型"), Words.same(about.detector)),
    ]


def _ground(site: Site) -> Words:
    if site.ground is None:
        return Words("not calibrated", "未标定")
    if site.ground_error_m is None:
        return Words("calibrated by four points: its error is unknown", "四点标定：误差未知")
    error = number(site.ground_error_m) if site.ground_error_m >= 0.005 else "< 0.01"
    return Words(f"calibrated, standard error of a place {error} m", f"已标定，位置标准误差 {error} m")


_STYLE = f"""
:root {{ color-scheme: light; }}
body {{ margin: 0; background: #f4f6f7; color: {palette.INK};
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "PingFang SC", "Microsoft YaHei",
    "Noto Sans CJK SC", sans-serif; }}
main, nav {{ max-width: 1040px; margin: 0 auto; padding: 0 20px; }}
nav {{ padding-top: 16px; text-align: right; font-size: 13px; }}
nav label {{ cursor: pointer; border: 1px solid {palette.EDGE}; border-radius: 8px;
  padding: 3px 10px; background: #fff; }}
.pick {{ position: absolute; opacity: 0; }}
#pick-en:checked ~ nav [for=pick-en], #pick-zh:checked ~ nav [for=pick-zh] {{ border-color: {palette.COUNT};
  color: {palette.COUNT}; font-weight: 600; }}
#pick-en:focus-visible ~ nav [for=pick-en], #pick-zh:focus-visible ~ nav [for=pick-zh] {{
  outline: 2px solid {palette.COUNT}; outline-offset: 2px; }}
#pick-en:checked ~ main .zh, #pick-zh:checked ~ main .en {{ display: none; }}
h1 {{ font-size: 22px; margin: 4px 0 12px; }}
dl {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(270px, 1fr)); gap: 1px; margin: 0;
  background: {palette.EDGE}; border: 1px solid {palette.EDGE}; border-radius: 12px; overflow: hidden; }}
dl div {{ background: #fff; padding: 8px 14px; }}
dt {{ color: {palette.QUIET}; font-size: 12px; }}
dd {{ margin: 0; font-weight: 600; font-size: 14px; overflow-wrap: anywhere; }}
figure, .trouble {{ margin: 14px 0 0; background: #fff; border: 1px solid {palette.EDGE}; border-radius: 12px;
  padding: 14px 18px; overflow-x: auto; }}
.trouble {{ border-left: 4px solid {palette.LEVELS[2]}; }}
.trouble p, footer p {{ margin: 0; }}
svg {{ display: block; width: 100%; min-width: 720px; height: auto; font-family: inherit; }}
footer {{ color: {palette.QUIET}; font-size: 13px; padding: 18px 0 28px; }}
@media print {{ nav {{ display: none; }} body {{ background: #fff; }} figure {{ break-inside: avoid; }} }}
"""


def html(report: Report, language: Language = "en") -> str:
    """One file: no script, nothing to fetch, both languages, of which this one is shown first."""
    facts = "".join(
        f"<div>{in_both(name, 'dt')}{in_both(value, 'dd')}</div>\n" for name, value in report.facts
    )
    troubles = "".join(in_both(words, "p") for words in report.troubles)
    cards = "\n".join(f"<figure>{write(card)}</figure>" for card in report.cards)
    notes = "\n".join(in_both(words, "p") for words in report.notes)
    picks = "\n".join(
        f'<input class="pick" type="radio" name="language" id="pick-{code}"'
        f"{' checked' if code == language else ''}>"
        for code in ("en", "zh")
    )
    return f"""<!doctype html>
<html lang="{"zh-CN" if language == "zh" else "en"}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(f"{_NAME.of(language)} · {report.facts[0][1].of(language)}")}</title>
<style>{_STYLE}</style>
</head>
<body>
{picks}
<nav><label for="pick-en" lang="en">English</label> <label for="pick-zh" lang="zh">中文</label></nav>
<main>
<h1>{in_both(_NAME, "span")}</h1>
<dl>
{facts}</dl>
{f'<div class="trouble">{troubles}</div>' if troubles else ""}
{cards}
<footer>
{notes}
</footer>
</main>
</body>
</html>
"""


def png(report: Report, language: Language = "en") -> bytes:
    """A picture of the report: its map and its worst zones.

    Raises:
        CommandError: it cannot be encoded.
    """
    zones = [card for card in report.cards if card.role == "zone"]
    left_out = zones[PNG_ZONES:]
    cards = [card for card in report.cards if not any(card is other for other in left_out)]
    notes = list(report.notes)
    if left_out:
        text = f"{len(left_out)} calmer zones are not shown here; a report in HTML shows all."
        notes.insert(0, Words(text, f"另有 {len(left_out)} 个较平静的区域未显示；HTML 报告显示全部。"))
    picture = paint([_head(report), *cards, _lines(notes, "notes")], language)
    done, data = cv2.imencode(".png", picture, (cv2.IMWRITE_PNG_COMPRESSION, 6))
    if not done:
        raise CommandError("the picture cannot be encoded")
    return data.tobytes()


def _head(report: Report) -> Sheet:
    card = Sheet(WIDTH, 0, _NAME, "head")
    card.text(0, 24, _NAME, size=22, bold=True)
    top = 50.0
    for k, (name, value) in enumerate(report.facts):
        x, y = (k % 2) * WIDTH / 2, top + (k // 2) * 20
        card.text(x, y, name, size=12, colour=palette.QUIET)
        room = WIDTH / 2 - 130
        card.text(x + 120, y, _shorten(value, room, 12.5), size=12.5, bold=True)
    top += (len(report.facts) + 1) // 2 * 20 + 4
    for words in report.troubles:
        card.text(0, top, _shorten(words, WIDTH, 12.5), size=12.5, colour=palette.LEVELS[1])
        top += 20
    card.path([(0, top - 6), (WIDTH, top - 6)], Stroke(palette.EDGE))
    card.height = top + 12
    return card


def _lines(lines: Sequence[Words], role: str) -> Sheet:
    card = Sheet(WIDTH, 17.0 * len(lines) + 4, Words("Notes", "说明"), role)
    for k, words in enumerate(lines):
        card.text(0, 12 + 17 * k, words, size=11.5, colour=palette.QUIET)
    return card


def _shorten(words: Words, room: float, size: float) -> Words:
    """Without its middle where it is too long: an address' end tells more than that."""

    def short(text: str) -> str:
        if text_width(text, size) <= room:
            return text
        keep = len(text)
        while keep > 8 and text_width(text[:keep], size) > room - size:
            keep -= 1
        return f"{text[: keep - keep // 2]}…{text[len(text) - keep // 2 :]}"

    return Words(short(words.en), short(words.zh))
