"""`sharpeyes sign`: the sign that stands before a camera's view."""

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api import terminal
from api.errors import USAGE, CommandError

if TYPE_CHECKING:
    from edge.config import CameraConfig, Config

ConfigFile = Annotated[Path, typer.Argument(help="Configuration file (YAML).", metavar="CONFIG")]
CameraId = Annotated[str, typer.Argument(help="Id of the camera.", metavar="CAMERA")]
Text = Annotated[str, typer.Option(metavar="TEXT")]

_CAMERA = (
    '<g transform="translate(74 22)" fill="#0b3d5c">'
    '<rect x="0" y="10" width="46" height="24" rx="4"/><path d="M46 16 l14 -6 v24 l-14 -6 z"/>'
    '<rect x="18" y="34" width="8" height="12"/><rect x="6" y="46" width="32" height="5" rx="2"/></g>'
)


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        epilog=terminal.examples(
            (
                "the sign of the gate's camera, A4, to be printed",
                "sharpeyes sign sharpeyes.yaml gate-2 --unit '街道办' --contact '0791-1234567' > sign.svg",
            ),
        )
    )(sign)


def sign(
    config: ConfigFile,
    camera: CameraId,
    unit: Text = "",
    contact: Text = "",
) -> None:
    """Write a camera's sign as SVG (A4): who films, what for, how long pictures are kept, whom to ask."""
    from edge.load import load_config

    loaded = load_config(config)
    found = next((one for one in loaded.cameras if one.id == camera), None)
    if found is None:
        known = ", ".join(one.id for one in loaded.cameras[:12])
        raise CommandError(f"no camera has the id {camera!r}; there are {known}", USAGE)
    terminal.out.print(
        drawn(loaded, found, unit or loaded.access.unit, contact), markup=False, highlight=False
    )


def drawn(config: "Config", camera: "CameraConfig", unit: str, contact: str) -> str:
    """The sign.

    Args:
        config: says how long pictures are kept.
        camera: which one.
        unit: who is responsible.
        contact: whom to ask.
    """
    hours = f"{config.evidence.ttl_h:g}"
    kept = config.evidence.enabled
    pictures = "No pictures are kept."
    if kept:
        pictures = f"Pictures of incidents are redacted and kept for {hours} h."
    lines = [
        ("公共安全视频图像采集区域", 12, "bold"),
        ("Public-safety camera", 8, "normal"),
        ("", 4, "normal"),
        (camera.place.name or camera.id, 9, "bold"),
        ("", 3, "normal"),
        ("本系统只看场所，不识别人。", 7.5, "bold"),
        ("It watches this place, not people: no face recognition,", 6, "normal"),
        ("nobody is identified or followed from camera to camera.", 6, "normal"),
        ("", 3, "normal"),
        (f"事件画面经脱敏后保存 {hours} 小时。" if kept else "不保存画面。", 6.5, "normal"),
        (pictures, 6, "normal"),
        ("", 3, "normal"),
        (f"管理单位 Responsible: {unit or '________________'}", 6, "normal"),
        (f"联系方式 Contact: {contact or '________________'}", 6, "normal"),
        (f"{config.node.id} / {camera.id}", 4, "normal"),
    ]
    y, texts = 92.0, []
    for text, size, weight in lines:
        y += size * 1.45
        if text:
            texts.append(
                f'<text x="105" y="{y:.1f}" font-size="{size}" font-weight="{weight}">{escape(text)}</text>'
            )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="210mm" height="297mm" viewBox="0 0 210 297">'
        '<rect x="6" y="6" width="198" height="285" rx="8" fill="#fff" stroke="#0b3d5c" stroke-width="3"/>'
        f"{_CAMERA}"
        '<g text-anchor="middle" fill="#111" '
        'font-family="Noto Sans CJK SC, Source Han Sans SC, Microsoft YaHei, sans-serif">'
        f"{''.join(texts)}</g></svg>"
    )
