"""`sharpeyes simulate`: a simulated camera as a clip with its truth, or as an RTSP stream."""

from pathlib import Path
from typing import Annotated

import typer

from api import terminal
from api.errors import USAGE, CommandError


def add(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        epilog=terminal.examples(
            (
                "a clip and its truth",
                "sharpeyes simulate intrusion --seed 3 --out clip.mp4 --truth truth.json",
            ),
            (
                "a minute of crowding, full HD",
                "sharpeyes simulate crowding --seconds 60 --size 1920x1080 --out crowd.mp4",
            ),
            (
                "500 people leave a stadium at once",
                "sharpeyes simulate evacuation --people 500 --seconds 120 --out out.mp4 --truth out.json",
            ),
            (
                "bags that are left, and bags that are taken up again",
                "sharpeyes simulate abandoned --seconds 90 --out left.mp4 --truth left.json",
            ),
            (
                "a camera that is covered in the rain",
                "sharpeyes simulate walk --weather rain --fault covered:spray@10-20 --out covered.mp4",
            ),
            ("as a camera on the network, until Ctrl-C", "sharpeyes simulate walk --rtsp 8554"),
        )
    )(simulate)


def simulate(  # noqa: PLR0913 - one parameter an option
    scenario: Annotated[
        str,
        typer.Argument(
            help="walk, quiet, intrusion, line, wrongway, abandoned, removed, obstruction, forbidden, fall, "
            "distractors, crowding, counterflow, surge, bottleneck or evacuation.",
            metavar="SCENARIO",
        ),
    ],
    *,
    place: Annotated[
        str | None,
        typer.Option(help="plaza, gate, platform, passage or stadium. Default: where the scenario plays."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Other seeds give other people and timing.")] = 0,
    seconds: Annotated[
        float | None,
        typer.Option(help="Length of the clip, or of one loop. Default: 30, and no end with --rtsp."),
    ] = None,
    size: Annotated[str, typer.Option(metavar="WxH", help="Width and height in pixels.")] = "1280x720",
    fps: Annotated[float, typer.Option(help="Pictures a second.")] = 25.0,
    out: Annotated[Path | None, typer.Option(help="Write the clip there (MP4, H.264).")] = None,
    truth: Annotated[Path | None, typer.Option(help="Write the truth there (JSON).")] = None,
    people: Annotated[
        int | None,
        typer.Option(help="How many, up to 500: passers-by, or the crowd. Default: the scenario's own."),
    ] = None,
    weather: Annotated[
        str,
        typer.Option(
            metavar="KIND[@S-S],...",
            help="rain, trees, shadows, headlights, insects or changing. Default: the scenario's own.",
        ),
    ] = "",
    fault: Annotated[
        str,
        typer.Option(
            metavar="KIND[@S-S],...",
            help="What is wrong with the camera: freeze, dark, blurred, covered, moved, noise or loss.",
        ),
    ] = "",
    rtsp: Annotated[
        int | None,
        typer.Option(min=0, max=65535, metavar="PORT", help="Serve over RTSP (GStreamer); 0: any port."),
    ] = None,
) -> None:
    """Make a simulated camera: a clip with its ground truth, or an RTSP stream."""
    from api import simulation
    from streams.sim.scenario import SCENARIOS, known
    from streams.sim.spec import SceneSpec, parse_size

    if (out is None) == (rtsp is None):
        raise CommandError("say where to: --out FILE for a clip, or --rtsp PORT for a stream", USAGE)
    if truth is not None and out is None:
        raise CommandError("--truth goes with --out: a stream has no end to be told of", USAGE)
    home = place or known(SCENARIOS, scenario, "scenario").home
    spec = SceneSpec(scenario, home, seed, parse_size(size), fps, seconds, people, weather, fault)
    if out is not None:
        simulation.clip(spec, out, truth)
    elif rtsp is not None:
        simulation.stream(spec, rtsp)
