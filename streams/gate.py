"""The rate gate: which pictures are worth analysing, by time alone."""


class RateGate:
    """Lets through at most `fps` pictures per second of camera time, evenly.

    Pictures are admitted on a grid of 1/fps seconds, and one that comes a little early (a tenth of the
    period) is on time: jitter of a camera's stamps then neither halves nor raises the rate. From 25 fps,
    5 fps lets every fifth through.

    Args:
        fps: pictures per second, above 0.
    """

    def __init__(self, fps: float) -> None:
        if fps <= 0:
            raise ValueError(f"fps must be above 0, got {fps}")
        self._period_s = 1.0 / fps
        self._due_s: float | None = None

    def admit(self, pts_s: float) -> bool:
        """Whether the picture at `pts_s` (seconds, rising from call to call) is to be analysed."""
        if self._due_s is None:
            self._due_s = pts_s
        if pts_s < self._due_s - self._period_s / 10:
            return False
        self._due_s += self._period_s
        if pts_s >= self._due_s:  # the source is slower than the grid, or there was a gap: start a new grid
            self._due_s = pts_s + self._period_s
        return True
