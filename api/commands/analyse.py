"""`sharpeyes analyse`: a recorded clip through the same analysis as a live camera."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from api import terminal


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        epilog=terminal.examples(
            ("people in the picture, over time", "sharpeyes analyse clip.mp4 --counts counts.csv"),
            (
                "with a camera's zones and rules",
                "sharpeyes analyse clip.mp4 --config sharpeyes.yaml --camera gate --events events.jsonl",
            ),
            (
                "a report to read and to paste: people, levels, density on the ground",
                "sharpeyes analyse clip.mp4 --config sharpeyes.yaml --camera gate --plot report.html",
            ),
            (
                "events for another program",
                "sharpeyes analyse clip.mp4 --config site.yaml --events - | jq .type",
            ),
        )
    )(analyse)


def analyse(  # noqa: PLR0913 - one parameter an option
    source: Annotated[str, typer.Argument(help="A file, or any URL a camera may have.", metavar="SOURCE")],
    *,
    config: Annotated[
        Path | None, typer.Option(help="Configuration; without it one zone, `picture`, and no rules.")
    ] = None,
    camera: Annotated[
        str | None, typer.Option(help="Camera of the configuration; may be left out if there is only one.")
    ] = None,
    events: Annotated[
        Path | None, typer.Option(help="Write events there, a JSON line each; - is stdout.", allow_dash=True)
    ] = None,
    counts: Annotated[
        Path | None, typer.Option(help="Write there: pts_s,zone,count,density_per_m2.", allow_dash=True)
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html|png",
            help="Draw a report there: counts, levels, density on the ground; no camera picture in it.",
        ),
    ] = None,
    language: Annotated[
        Literal["en", "zh"], typer.Option(help="Of the report; one in HTML has both.")
    ] = "en",
) -> None:
    """Analyse a clip offline, as fast as it goes; the same clip gives the same results."""
    from api import clip

    clip.analyse_clip(clip.Job(source, *clip.choose_camera(config, camera), events, counts, plot, language))
