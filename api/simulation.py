"""Simulated cameras for people: a clip with a progress bar, a stream until Ctrl-C."""

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from urllib.parse import urlencode

from api import terminal
from streams.clock import SystemClock
from streams.sim.clip import write_clip
from streams.sim.serve import serve
from streams.sim.source import open_sim
from streams.sim.spec import SceneSpec

CLIP_S = 30.0
"""Length of a clip unless told otherwise."""


def clip(spec: SceneSpec, out: Path, truth: Path | None) -> None:
    """Write a clip; a broken-off one is removed."""
    spec = replace(spec, seconds=spec.seconds or CLIP_S)
    with terminal.progress() as bar, _whole_or_nothing(out):
        task = bar.add_task("simulating", total=spec.pictures)
        told = write_clip(spec, out, truth, lambda done, _of: bar.update(task, completed=done))
    size = out.stat().st_size / 2**20
    written = f"{out} ({size:.1f} MiB)" + (f" and {truth}" if truth else "")
    terminal.err.print(f"{spec.pictures} pictures and {len(told.events)} events: {written}", markup=False)


@contextlib.contextmanager
def _whole_or_nothing(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def address(spec: SceneSpec) -> str:
    """The `sim://` URL of a scene; one with an end begins again.

    >>> address(SceneSpec("line", seed=3, size=(640, 360), fps=25.0))
    'sim://plaza?scenario=line&seed=3&size=640x360&fps=25.0'
    """
    values = {
        "scenario": spec.scenario,
        "seed": spec.seed,
        "size": f"{spec.size[0]}x{spec.size[1]}",
        "fps": spec.fps,
    }
    if spec.people is not None:
        values["people"] = spec.people
    values |= {name: text for name, text in (("weather", spec.weather), ("fault", spec.fault)) if text}
    if spec.seconds is not None:
        values |= {"seconds": spec.seconds, "loop": 1}
    return f"sim://{spec.place}?{urlencode(values)}"


def stream(spec: SceneSpec, port: int) -> None:
    """Be an RTSP camera until SIGINT or SIGTERM."""
    source = open_sim(address(spec), realtime=True, clock=SystemClock())

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        serve(
            source.packets(),
            port,
            mount=spec.place,
            announce=lambda url: terminal.err.print(f"{url}   Ctrl-C ends it", markup=False),
        )
    except KeyboardInterrupt:
        terminal.err.print("ended")
    finally:
        source.close()
        signal.signal(signal.SIGTERM, before)
