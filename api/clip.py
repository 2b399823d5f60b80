"""Analyses a recorded clip: writes counts and events, shows progress, tells what came out."""

import contextlib
import csv
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from pydantic import SecretStr

from api import terminal
from api.errors import USAGE, CommandError
from edge.config import CameraConfig, Config, ModelConfig, NodeConfig, SourceConfig
from edge.floors import counts_heads, watches_falls, watches_fire
from edge.offline import Models, Step, analyse
from edge.sections import ZoneConfig
from edge.site import Site
from streams.url import SourceUrl

if TYPE_CHECKING:
    from api.report.gather import Gathering

COLUMNS = ("pts_s", "zone", "count", "density_per_m2")
WHOLE = ZoneConfig(id="picture", polygon=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
"""Where no configuration says better: the whole picture."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to analyse and where to write.

    Attributes:
        source: file or URL.
        camera: zones, rules and rate; its own source is not used.
        model: the detector, and the head counter where the camera watches crowds.
        node: who speaks in the events.
        events: file for JSON lines; `-` is stdout, None shows them on the terminal.
        counts: file for the CSV; `-` is stdout, None writes none.
        plot: file for the report, HTML or PNG; None writes none.
        language: of the report.
    """

    source: str
    camera: CameraConfig
    model: ModelConfig
    node: NodeConfig
    events: Path | None = None
    counts: Path | None = None
    plot: Path | None = None
    language: Literal["en", "zh"] = "en"


def choose_camera(path: Path | None, camera_id: str | None) -> tuple[CameraConfig, ModelConfig, NodeConfig]:
    """The camera to analyse as, with its model and node.

    Raises:
        CommandError: there is no such camera, or it is not clear which.
        ConfigError: the configuration is wrong.
    """
    if path is None:
        if camera_id is not None:
            raise CommandError("--camera needs --config, which declares it", USAGE)
        camera = CameraConfig(id="clip", source=SecretStr("clip"), zones=(WHOLE,))
        return camera, ModelConfig(), NodeConfig(id="offline")
    from edge.load import load_config

    config = load_config(path)
    return _camera_of(config, camera_id), config.model, config.node


def _camera_of(config: Config, camera_id: str | None) -> CameraConfig:
    ids = [camera.id for camera in config.cameras]
    if camera_id is None and len(ids) > 1:
        raise CommandError(f"which camera? add --camera with one of {', '.join(ids)}", USAGE)
    wanted = camera_id or ids[0]
    if wanted not in ids:
        raise CommandError(f"no camera {wanted!r} in the configuration; there are {', '.join(ids)}", USAGE)
    return config.cameras[ids.index(wanted)]


@dataclass(slots=True)
class Result:
    """What came out: pictures analysed, the clip's last time, events by type, counts by zone."""

    pictures: int = 0
    pts_s: float = 0.0
    events: Counter[str] = field(default_factory=Counter)
    zones: dict[str, list[int]] = field(default_factory=dict)

    def add(self, step: Step) -> None:
        """Take one analysed picture in."""
        self.pictures += step.looked
        self.pts_s = step.pts_s
        self.events.update(event.type for event in step.events)
        for zone, counted in step.zones.items():
            self.zones.setdefault(zone, []).append(counted.count)


def analyse_clip(job: Job) -> Result:
    """Analyse the clip to its end and show what came out, on stderr.

    Raises:
        CommandError: events and counts are both to go to stdout, or the plot has no name that it can have.
    """
    if job.events == job.counts == Path("-"):
        raise CommandError("only one of --events and --counts can be - (stdout)", USAGE)
    result, began_s = Result(), time.monotonic()
    piped = Path("-") in (job.counts, job.events)
    with _plotted(job) as plot, _writer(job.counts) as counts, _writer(job.events) as events:
        table = csv.writer(counts, lineterminator="\n") if counts else None
        if table:
            table.writerow(COLUMNS)
        for step in _watched(_steps(job)):
            result.add(step)
            if plot:
                plot.add(step)
            if table:
                table.writerows(_rows(step))
            for event in step.events:
                body = event.to_json()
                if events:
                    events.write(body.decode() + "\n")
                else:
                    terminal.err.print(terminal.event_line(json.loads(body)))
            if piped:
                sys.stdout.flush()
    _tell(result, time.monotonic() - began_s)
    return result


@contextlib.contextmanager
def _writer(path: Path | None) -> Iterator[IO[str] | None]:
    if path is None:
        yield None
    elif path == Path("-"):
        yield sys.stdout
        sys.stdout.flush()
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            yield file


@contextlib.contextmanager
def _plotted(job: Job) -> Iterator["Gathering | None"]:
    """Gathers what the report needs, and writes it; of a clip that breaks off, as far as it went."""
    if job.plot is None:
        yield None
        return
    from api.report import gather, page

    page.check_name(job.plot)
    gathered = gather.Gathering(Site.from_config(job.camera), job.camera.analysed_fps)
    whole = False
    try:
        yield gathered
        whole = True
    finally:
        if whole or gathered.looks:
            about = page.About(_shown(job.source), job.camera, Path(job.model.detector).name)
            page.save(job.plot, page.build(gathered, about), job.language)
            terminal.err.print(f"{job.plot}: the report", markup=False)


def _shown(source: str) -> str:
    """An address as a report may show it: no credentials, and of a file no more than its name."""
    url = SourceUrl.parse(source)
    return Path(url.full).name if url.scheme == "file" else url.display


def _steps(job: Job) -> Iterator[Step]:
    from models.zoo import load_density, load_detector, load_fallen, load_fire

    model, density, fire, fallen = job.model, None, None, None
    detector = load_detector(model.detector, model.providers, model.threads)
    if model.density is not None and counts_heads(job.camera):
        density = load_density(model.density, model.providers, model.threads)
    if model.fire is not None and watches_fire(job.camera):
        fire = load_fire(model.fire, model.providers, model.threads)
    if model.fallen is not None and watches_falls(job.camera):
        fallen = load_fallen(model.fallen, model.providers, model.threads)
    camera = job.camera.model_copy(update={"source": SourceConfig(main=SecretStr(job.source))})
    return analyse(camera, job.node, model, Models(detector, density, fire, fallen))


def _watched(steps: Iterable[Step]) -> Iterator[Step]:
    with terminal.progress() as bar:
        task = bar.add_task("analysing", total=None)
        for step in steps:
            yield step
            total = None if step.done is None else 1.0
            bar.update(task, description=f"at {step.pts_s:.1f} s", total=total, completed=step.done or 0.0)


def _rows(step: Step) -> Iterator[tuple[str, str, int, str]]:
    for zone, counted in step.zones.items():
        mean = counted.density_mean_per_m2
        yield f"{step.pts_s:.3f}", zone, counted.count, "" if mean is None else f"{mean:.4f}"


def _tell(result: Result, took_s: float) -> None:
    speed = f", {result.pts_s / took_s:.1f} times real time" if took_s > 0 else ""
    terminal.err.print(
        f"{result.pictures} pictures of {result.pts_s:.1f} s analysed in {took_s:.1f} s{speed}"
    )
    for zone, counted in result.zones.items():
        mean = sum(counted) / len(counted)
        terminal.err.print(f"zone {zone}: {mean:.1f} people on average, {max(counted)} at most", markup=False)
    for type_, number in sorted(result.events.items()):
        terminal.err.print(f"{terminal.short_type(type_)}: {number} events")
