"""Redacted pictures as files: a snapshot in JPEG, a clip in MP4. Nothing else can be written."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from edge.redactor import RedactedPicture

TIME_BASE = Fraction(1, 90_000)
"""Of RTP's video clock, and finer than any camera's."""
JPEG_QUALITY = 88
CRF = "26"
"""Constant quality of x264; the pattern that covers people costs most and says nothing."""


def snapshot(picture: RedactedPicture) -> bytes:
    """A picture as JPEG, without metadata.

    Raises:
        ValueError: it cannot be encoded.
    """
    bgr = cv2.cvtColor(picture.yuv, cv2.COLOR_YUV2BGR_I420)
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise ValueError(f"a picture of {picture.width}x{picture.height} cannot be encoded as JPEG")
    return data.tobytes()


class ClipWriter:
    """Writes a clip, picture by picture. For one thread; see `writing`.

    Attributes:
        pictures: written so far.
        first_s, last_s: camera times of the first and last of them.
        covered: sum of their covered shares.
        width, height: pixels of the first one, and so of all.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.pictures = 0
        self.first_s = self.last_s = 0.0
        self.covered = 0.0
        self.width = self.height = 0
        self._fps = fps
        # "faststart" puts the index before the pictures, so that a browser plays before it has all of it.
        self._file = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream: av.VideoStream | None = None

    def add(self, picture: RedactedPicture) -> None:
        """Append a picture, later than the one before.

        Raises:
            OSError: the disk refuses.
            ValueError: it has another size than the first, or is not later than the last.
        """
        stream = self._stream or self._opened(picture)
        if (picture.width, picture.height) != (self.width, self.height):
            raise ValueError("the size of a clip's pictures cannot change")
        if self.pictures and picture.pts_s <= self.last_s:
            raise ValueError("a clip's pictures come one after the other")
        frame = av.VideoFrame.from_ndarray(np.asarray(picture.yuv), format="yuv420p")
        frame.pts, frame.time_base = round((picture.pts_s - self.first_s) / TIME_BASE), TIME_BASE
        self._file.mux(stream.encode(frame))
        self.pictures += 1
        self.last_s = picture.pts_s
        self.covered += picture.covered

    def _opened(self, picture: RedactedPicture) -> av.VideoStream:
        rate = Fraction(self._fps).limit_denominator(1000)
        options = {"preset": "veryfast", "crf": CRF, "bf": "0"}
        stream = self._file.add_stream("libx264", rate=rate, options=options)
        self.width, self.height = stream.width, stream.height = picture.width, picture.height
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = TIME_BASE
        stream.codec_context.thread_count = 1
        self.first_s, self._stream = picture.pts_s, stream
        return stream

    def finish(self) -> None:
        """Write what the encoder holds back, and the index.

        Raises:
            OSError: the disk refuses.
        """
        if self._stream is not None:
            self._file.mux(self._stream.encode(None))
        self._file.close()


@contextmanager
def writing(path: Path, fps: float) -> Iterator[ClipWriter]:
    """A clip at `path`, whole when the block is left in peace; after an error the file is of no use.

    Args:
        path: of the file; another one is overwritten.
        fps: pictures a second that are to be expected.

    Raises:
        OSError: the disk refuses.
    """
    writer = ClipWriter(path, fps)
    try:
        yield writer
        writer.finish()
    finally:
        writer._file.close()
