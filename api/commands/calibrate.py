"""`sharpeyes calibrate`: from a picture to metres on the ground, with its error."""

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
                "surveyed points: x,y,ground_x,ground_y a line, seven or more",
                "sharpeyes calibrate sharpeyes.yaml --camera gate --points survey.csv",
            ),
            (
                "a parking bay, a court, four paving joints: corners in order around it",
                (
                    "sharpeyes calibrate sharpeyes.yaml --camera gate --pixels 1920x1080"
                    ' --rectangle "412,702 1380,688 1260,431 608,437" --size 12x8'
                ),
            ),
            (
                "nothing to measure: let people walk by, and look at the result",
                "sharpeyes calibrate sharpeyes.yaml --camera gate --walkers --minutes 5 --picture ground.png",
            ),
        )
    )(calibrate)


def calibrate(  # noqa: PLR0913 - one parameter an option
    config: Annotated[Path, typer.Argument(help="Configuration file (YAML).", metavar="CONFIG")],
    *,
    camera: Annotated[
        str | None, typer.Option(help="Camera of the configuration; may be left out if there is only one.")
    ] = None,
    points: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Surveyed points: x,y,ground_x,ground_y.")
    ] = None,
    rectangle: Annotated[
        str | None,
        typer.Option(metavar='"x,y x,y x,y x,y"', help="Corners of a rectangle on the ground, around it."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="WxL", help="Its sides in metres: first to second corner, second to third."),
    ] = None,
    walkers: Annotated[bool, typer.Option("--walkers", help="Watch people walk by.")] = False,
    minutes: Annotated[
        float, typer.Option(min=0.1, max=120, help="How long to watch, in the camera's time.")
    ] = 5.0,
    hfov: Annotated[
        float | None, typer.Option(metavar="DEGREES", help="The lens's horizontal field of view, if known.")
    ] = None,
    pixels: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="Points are in pixels of such a picture; else fractions, 16:9."),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(metavar='"x,y x,y METRES"', help="A measured distance to check the result by."),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw the ground's metres as seen; no camera picture in it."),
    ] = None,
) -> None:
    """Calibrate a camera's ground, so that density has metres: by points, a rectangle, or walking people.

    Prints the lines to put into the configuration, and how surely they are known. What is known too badly
    for danger levels is refused.
    """
    from api import calibration
    from api.clip import choose_camera

    ways = [name for name, on in (("points", points), ("rectangle", rectangle), ("walkers", walkers)) if on]
    if len(ways) != 1:
        raise CommandError("say how: one of --points FILE.csv, --rectangle with --size, or --walkers", USAGE)
    _belongs(ways[0], size is not None, check is not None)
    if hfov is not None and not 5 <= hfov <= 150:
        raise CommandError(f"--hfov takes 5 to 150 degrees, got {hfov:g}", USAGE)
    chosen, model, _ = choose_camera(config, camera)
    given = calibration.parse_pixels(pixels)
    watched = calibration.watched_of(chosen)
    distance = None if check is None else calibration.parse_check(check, given)
    setting = given.setting(watched, distance, hfov)
    if points is not None:
        found = calibration.by_points(points, given, setting)
    elif rectangle is not None and size is not None:
        corners = calibration.parse_points(rectangle, "--rectangle", 4, given)
        found = calibration.by_rectangle(corners, calibration.parse_sides(size), setting)
    else:
        found, given = calibration.by_walkers(chosen, model, minutes, hfov)
    for line in calibration.misfits(chosen, found):
        terminal.warn(line)
    if picture is not None:
        from api import ground_picture

        drawn = ground_picture.draw(found, given.pixels or (1280, 720), calibration.zones_of(chosen))
        ground_picture.write(picture, drawn)
        terminal.err.print(f"{picture}: compare its grid with what the camera shows", markup=False)
    calibration.tell(found)


def _belongs(way: str, size: bool, check: bool) -> None:
    if size != (way == "rectangle"):
        raise CommandError("--rectangle and --size WxL, its sides in metres, go together", USAGE)
    if check and way == "walkers":
        raise CommandError("--check goes with --points or --rectangle, not with --walkers", USAGE)
