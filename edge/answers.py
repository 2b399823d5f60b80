"""What the centre may say to nodes: a closed schema, so that nothing unknown is ever acted upon."""

from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from edge.envelope import Identifier, Number, TaskName
from edge.status import Profile

MAX_BYTES = 4096
"""Size of a message; those of the schema are far smaller."""

MAX_REPLAY = 10_000
"""Numbers that one message may ask for."""

MESSAGE_FIELD = b"m"
"""Field of a stream entry that holds the message's JSON."""

EVERYBODY = "*"
"""In place of a node's id: all nodes of the district."""

_UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"

Time = Annotated[str, Field(pattern=_TIME)]


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Replay(_Closed):
    """Send again what is still there of `first` to `last`, inclusive."""

    kind: Literal["replay"]
    node: Identifier
    first: Number
    last: Number

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not 0 <= self.last - self.first < MAX_REPLAY:
            raise ValueError(f"asks for nothing, or for more than {MAX_REPLAY}")
        return self


class Verdict(_Closed):
    """Whether an incident was what the rule said; a cause goes with false alarms."""

    kind: Literal["verdict"]
    node: Identifier
    incident: Annotated[str, Field(pattern=_UUID)]
    camera: Identifier
    rule: TaskName
    verdict: Literal["true", "false"]
    cause: Annotated[str | None, Field(max_length=200)] = None
    time: Time


class ProfileChange(_Closed):
    """Which thresholds hold from now on."""

    kind: Literal["profile"]
    node: Identifier | Literal["*"]
    profile: Profile
    time: Time


class Reset(_Closed):
    """Kept free for later; nothing follows from it."""

    kind: Literal["reset"]
    node: Identifier
    first: Number


Message = Replay | Verdict | ProfileChange | Reset
_MESSAGE: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Discriminator("kind")])


def message_of(raw: bytes | None) -> Message | None:
    """A message as the centre sent it; None if it is none of this schema."""
    if raw is None or len(raw) > MAX_BYTES:
        return None
    try:
        return _MESSAGE.validate_json(raw)
    except ValidationError:
        return None
