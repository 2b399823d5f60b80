"""What the product makes of a crowd scene's rendered pictures: detector, tracker, heads, motion, rules.

The objects are those of `edge.offline.analyse`, in its order; only the codec is left out, and no event is
made of a change.
"""

import itertools
from functools import cache

import numpy as np

from benchmarks.crowds_scenes import Recording
from benchmarks.crowds_seen import Seen, camera_at, indices, note
from edge.analysis import Analysis
from edge.census import Census, Wish
from edge.config import ModelConfig
from edge.incidents import Incidents, policies
from edge.offline import Models
from edge.site import Site
from models.tracker import Tracker
from models.zoo import load_density, load_detector
from streams.picture import AvPicture
from streams.sim.encode import video_frame
from streams.sim.render import Renderer


@cache
def models() -> Models:
    """The shipped models, one thread each."""
    config = ModelConfig()
    density = None if config.density is None else load_density(config.density)
    return Models(load_detector(config.detector), density)


def watch_pictures(recording: Recording, fps: float) -> Seen:
    """Draw a scene and have it watched.

    Args:
        recording: the scene, which is played once more.
        fps: pictures a second, at most five.
    """
    spec, seen = recording.spec, Seen()
    place, used = spec.where, models()
    config = camera_at(place, fps)
    analysis = Analysis(config, Site.from_config(config), used.detector.class_names)
    tracker = Tracker(ModelConfig().threshold, np.random.default_rng(1))
    census = Census(used.density, frozenset({config.id}))
    numbers = itertools.count(1)
    incidents = Incidents(config.id, policies(config), lambda: str(next(numbers)))
    scene, renderer = spec.scene(), Renderer(place, spec.seed, spec.size)
    for k in indices(recording, fps):
        at_s = float(recording.times[k])
        picture = AvPicture(video_frame(renderer.shoot(scene.at(at_s)).yuv, at_s))
        tracks = tracker.update(used.detector.detect(picture), at_s)
        around = census.look(config.id, picture, at_s, Wish(heads=True, motion=analysis.dense))
        note(seen, at_s, analysis.update(tracks, at_s, around), place.crowd.id, incidents)
    return seen
