"""Commands as they travel to Redis (RESP 2), packed once: half of what publishing would cost otherwise."""

from collections.abc import Iterable, Mapping

CHUNK = 64 * 1024
"""Bytes that are handed to the socket at once, roughly."""

Word = str | int | bytes


def command(*words: Word) -> bytes:
    r"""A whole command.

    >>> command("HGET", "k", 1)
    b'*3\r\n$4\r\nHGET\r\n$1\r\nk\r\n$1\r\n1\r\n'
    """
    return b"*%d\r\n%b" % (len(words), _packed(words))


def appends(
    key: str, entries: Iterable[Mapping[bytes, bytes]], max_entries: int, prefix: bytes = b""
) -> list[bytes]:
    """An XADD for each entry, with what they have in common packed once.

    Args:
        key: of the stream.
        entries: the fields of each.
        max_entries: length to which the server may trim the stream, roughly.
        prefix: a whole command to send before each.
    """
    head = _packed(("XADD", key, "MAXLEN", "~", max_entries, "*"))
    return [
        b"%b*%d\r\n%b%b"
        % (prefix, 6 + 2 * len(fields), head, _packed(x for pair in fields.items() for x in pair))
        for fields in entries
    ]


def joined(commands: Iterable[bytes]) -> list[bytes]:
    """The same bytes in pieces of about `CHUNK`."""
    pieces: list[bytes] = []
    run: list[bytes] = []
    size = 0
    for packed in commands:
        run.append(packed)
        size += len(packed)
        if size >= CHUNK:
            pieces.append(b"".join(run))
            run, size = [], 0
    return [*pieces, b"".join(run)] if run else pieces


def _packed(words: Iterable[Word]) -> bytes:
    raw = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in raw])
