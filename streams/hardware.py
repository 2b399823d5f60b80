"""Decoding on a graphics processor or video engine where there is one: the only place that knows of devices.

Everything but opening is FFmpeg's own decoder as ever: it parses the stream and keeps the reference
pictures' order, and hands slices to the device, from which PyAV copies each picture back into memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import av
import structlog
from av.codec import Codec
from av.codec.hwaccel import HWAccel, hwdevices_available

_log = structlog.get_logger(__name__)

AUTO: Final = "auto"
OFF: Final = "off"
SOFTWARE: Final = "software"

# What `auto` tries, in turn: an interface of the system's own before one that may stand on top of it.
_PREFERENCE: Final = ("cuda", "vaapi", "videotoolbox", "d3d11va", "qsv")
# Every CUDA context of its own takes some 100 MB of the device's memory, so decoders share its primary one.
# That cannot be had where somebody else, such as ONNX Runtime, set it up with other flags; hence two tries.
_TRIES: Final[Mapping[str, tuple[dict[str, object], ...]]] = {"cuda": ({"primary_ctx": "1"}, {})}

# A device that has shown pictures may fail so often in a row (a damaged stream looks the same), and one that
# shows none may take so many packets: a decoder that reorders needs up to 16, and some keep a few in flight.
_FAILURES: Final = 3
_SILENCE: Final = 64


@dataclass(slots=True, eq=False)
class Accelerated:
    """A decoder on a device, and how it does there.

    Attributes:
        context: decodes, not yet opened; pictures come back in memory: nv12, or p010 of ten bits.
        device: its kind, such as `cuda`.
        pixel_format: what the context calls its pictures as long as they are made on the device.
    """

    context: av.VideoCodecContext
    device: str
    pixel_format: str
    _begun: bool = False
    _proved: bool = False
    _failures: int = 0
    _silence: int = 0

    @property
    def bypassed(self) -> bool:
        """Whether FFmpeg found the stream beyond the device and went on in software; after a picture only."""
        return self.context.pix_fmt != self.pixel_format

    def doubt(self, shown: int, *, failed: bool, keyframe: bool) -> str:
        """Why the device should be left after this packet; empty while it should not.

        Args:
            shown: pictures that came out.
            failed: whether the decoder refused it.
            keyframe: whether it is one; what comes before the first proves nothing.
        """
        self._begun = self._begun or keyframe or shown > 0
        if shown or not self._begun:
            self._proved, self._failures, self._silence = shown > 0, 0, 0
            return ""
        self._failures += failed
        self._silence += 1
        if self._failures >= (_FAILURES if self._proved else 1):
            return "it cannot decode the stream"
        return "it shows no pictures" if self._silence >= _SILENCE else ""


def accelerated(codec: str, wanted: str) -> Accelerated | None:
    """A decoder on the device that is wanted; None where there is none, or none is wanted.

    Why a device that was asked for by its name is not used is logged once for each reason.

    Args:
        codec: name of FFmpeg's decoder, such as `h264`.
        wanted: `off`, `auto` (the first device that opens), or a kind of device.
    """
    if wanted == OFF:
        return None
    troubles = []
    for device in _devices(wanted):
        found = _opened(codec, device)
        if isinstance(found, Accelerated):
            _tell(device, codec, "")
            return found
        troubles.append(f"{device}: {found}")
    _tell(SOFTWARE, codec, "; ".join(troubles))
    return None


def trouble(codec: str, wanted: str) -> str:
    """Why the device that is wanted would not decode here; empty if it would, and for `auto` and `off`."""
    if wanted in (AUTO, OFF):
        return ""
    found = _opened(codec, wanted)
    return "" if isinstance(found, Accelerated) else found


def _devices(wanted: str) -> tuple[str, ...]:
    if wanted != AUTO:
        return (wanted,)
    known = hwdevices_available()
    return tuple(device for device in _PREFERENCE if device in known)


def _opened(codec: str, device: str) -> Accelerated | str:
    """The decoder, or why there is none."""
    if device not in hwdevices_available():  # PyAV would take an unknown name for "any"
        return (
            f"this build of FFmpeg knows no {device}, only {', '.join(hwdevices_available()) or 'software'}"
        )
    reason = f"its FFmpeg decoders take no {codec}"
    for decoder, pixel_format in _decoders(codec, device):
        for options in _TRIES.get(device, ({},)):
            try:
                context = av.CodecContext.create(decoder, "r", HWAccel(device, options=options))
            except (av.FFmpegError, OSError) as error:
                reason = f"the device does not open ({error.strerror})"
                continue
            if isinstance(context, av.VideoCodecContext) and context.is_hwaccel:
                return Accelerated(context, device, pixel_format)
    return reason


def _decoders(codec: str, device: str) -> Iterator[tuple[str, str]]:
    """FFmpeg's decoders of the codec that can use the device, with their pixel format there.

    FFmpeg's own comes first; some devices, such as `qsv`, have decoders of their own.
    """
    canonical = Codec(codec, "r").canonical_name
    for name in (canonical, f"{canonical}_{device}"):
        try:
            configs = Codec(name, "r").hardware_configs
        except ValueError:
            continue
        for config in configs:
            if config.device_type.name == device and config.is_supported and config.format is not None:
                yield name, config.format.name


@cache
def _tell(decoder: str, codec: str, trouble: str) -> None:
    """One line for each thing there is to say, however many cameras and reconnections."""
    if trouble:
        _log.warning("hardware_decoding_unavailable", codec=codec, reason=trouble, decoder=decoder)
    else:
        _log.info("hardware_decoding", codec=codec, decoder=decoder)


def given_up(device: str, codec: str, why: str) -> None:
    """Say that a device did not manage a stream, so that software goes on; once for each reason."""
    _tell(SOFTWARE, codec, f"{device}: {why}")
