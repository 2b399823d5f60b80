"""What can go wrong at the centre. Messages never hold a secret."""


class CenterError(Exception):
    """Base of everything the centre raises on purpose."""


class StoreAwayError(CenterError):
    """The database is away, full, locked or damaged; nothing of the call was stored. Try again later."""


class PoisonError(CenterError):
    """An event whose processing fails for its own reasons; nothing of the call was stored.

    Attributes:
        index: of the event among those that were handed over. Call again without it.
        reason: what is wrong with it, quoting nothing of it.
    """

    def __init__(self, index: int, reason: str) -> None:
        self.index = index
        self.reason = reason
        super().__init__(f"event {index}: {reason}")


class NotFoundError(CenterError):
    """There is no such case, node or key."""


class ConflictError(CenterError):
    """Somebody else changed the case meanwhile.

    Attributes:
        current: the case's version now.
    """

    def __init__(self, current: int) -> None:
        self.current = current
        super().__init__(f"the case was changed meanwhile; its version is {current} now")


class IllegalError(CenterError):
    """The lifecycle does not allow it, or something that it needs (a name, a reason, a cause) is missing."""


class LayoutError(CenterError):
    """The database has a layout that this version does not know."""
