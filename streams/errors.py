"""What can go wrong with a stream. Messages never hold a URL's credentials."""


class StreamError(Exception):
    """A stream failed; the supervisor retries it."""


class SourceUrlError(StreamError, ValueError):
    """The URL is malformed, or its scheme is not allowed. Retrying does not help."""


class OpenError(StreamError):
    """The source could not be opened in time, or refused."""


class ReadError(StreamError):
    """The source was open and broke: time-out, reset, or an unreadable stream."""


class StreamEndedError(StreamError):
    """The source ended of its own accord: the end of a file, or a server's goodbye."""
