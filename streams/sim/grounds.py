"""Zones with a rule of their own, which a place has only in the scenarios that need them."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from streams.sim.places import Place, Use, Zone

GROUNDS: Mapping[str, Mapping[Use, Zone]] = MappingProxyType(
    {
        place: MappingProxyType({zone.use: zone for zone in zones})
        for place, zones in {
            "plaza": (
                Zone("one-way", ((-4.4, 8.4), (4.2, 8.4), (4.8, 11.4), (-5.4, 11.4)), "one_way", (1.0, 0.0)),
                Zone("fire-lane", ((-11.5, 19.0), (11.5, 19.0), (12.0, 22.2), (-12.5, 22.2)), "fire_lane"),
                Zone("footway", ((-4.6, 8.6), (2.2, 8.6), (2.2, 12.8), (-5.6, 12.8)), "people_only"),
                Zone("watched", ((-4.6, 9.5), (2.0, 9.5), (2.0, 17.0), (-6.0, 17.0)), "watched"),
            ),
            "gate": (
                Zone(
                    "one-way", ((-2.4, 12.0), (2.4, 12.0), (2.4, 18.6), (-2.4, 18.6)), "one_way", (0.0, 1.0)
                ),
                Zone("fire-lane", ((-9.6, 15.2), (9.6, 15.2), (10.6, 18.4), (-10.6, 18.4)), "fire_lane"),
                Zone("footway", ((-4.6, 7.8), (2.8, 7.8), (2.8, 12.0), (-5.6, 12.0)), "people_only"),
                Zone("watched", ((-4.8, 8.6), (2.6, 8.6), (2.6, 14.6), (-6.4, 14.6)), "watched"),
            ),
            "platform": (
                Zone("one-way", ((-2.8, 9.0), (1.8, 9.0), (1.8, 17.5), (-2.8, 17.5)), "one_way", (0.0, 1.0)),
                Zone("fire-lane", ((-12.0, 24.4), (12.0, 24.4), (13.4, 28.2), (-13.4, 28.2)), "fire_lane"),
                Zone("footway", ((-4.2, 8.2), (2.2, 8.2), (2.2, 12.6), (-5.2, 12.6)), "people_only"),
                Zone("watched", ((-4.0, 9.0), (2.0, 9.0), (2.0, 16.5), (-6.0, 16.5)), "watched"),
            ),
            "passage": (
                Zone(
                    "one-way", ((-2.3, 11.0), (2.3, 11.0), (2.3, 23.0), (-2.3, 23.0)), "one_way", (0.0, 1.0)
                ),
            ),
        }.items()
    }
)
"""By the place's name and the zone's use."""


def with_uses(place: Place, uses: tuple[Use, ...]) -> Place:
    """The place with its zones for these uses marked on the ground; the place itself where there are none.

    Raises:
        KeyError: the place has no zone for one of them.
    """
    return replace(place, marked=tuple(GROUNDS[place.name][use] for use in uses)) if uses else place


def places_with(*uses: Use) -> tuple[str, ...]:
    """Names of the places that have zones for all these uses."""
    return tuple(name for name, zones in GROUNDS.items() if all(use in zones for use in uses))
