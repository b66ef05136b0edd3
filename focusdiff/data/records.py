"""What travels through the building of a dataset: a record of an editing source, and what the stages say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from paircomp.runtime.images import UnreadableImageError, read_rgb

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["BLOCK", "Block", "EditRecord", "Source", "Stage", "Verdict"]

#: Records of a block: what is read, taken through the stages and kept in memory together.
BLOCK = 256
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class EditRecord:
    """An edit: a picture, an instruction, and the picture after it.

    Attributes:
        position: from zero, within its source; what the records of a build are kept by.
        record_id: a label within the source, for people.
        before: the file of the picture, as the source holds it; ``None`` where it has none.
        after: the same, after the edit.
        instruction: what was to be changed, in words; empty where the source has none.
        captions: the source's own captions of the two pictures, where it has them.
        edit_type: the source's own word for the kind of edit.
        licence: of the two pictures.
        origin: where the record came from: data set, file and row.
        truth: what is known to be wrong with the edit (``""``: nothing); only the source ``shapes`` knows, no stage
            reads it, and figures are made with it.
        skipped: why the source itself leaves the record out; it is then dropped by the first stage with that reason.
    """

    position: int
    record_id: str
    before: bytes | None
    after: bytes | None
    instruction: str
    captions: tuple[str | None, str | None] = (None, None)
    edit_type: str | None = None
    licence: str = "unknown"
    origin: str = ""
    truth: str | None = None
    skipped: str | None = None

    def images(self) -> tuple[Image, Image]:
        """Both pictures, 8-bit RGB.

        Raises:
            UnreadableImageError: one is absent or damaged; the message says which.
        """
        return _decoded(self.before, "before"), _decoded(self.after, "after")


def _decoded(content: bytes | None, which: str) -> Image:
    if content is None:
        raise UnreadableImageError(f"{which}: the source has no picture")
    try:
        return read_rgb(content)
    except UnreadableImageError as error:
        raise UnreadableImageError(f"{which}: {error}") from None


class Block(Protocol):
    """Some consecutive records of a source. It can be pickled: a worker process reads them."""

    @property
    def number(self) -> int:
        """From zero, in the order of the source."""
        ...

    @property
    def start(self) -> int:
        """Position of the first record."""
        ...

    @property
    def size(self) -> int:
        """How many records, at most :data:`BLOCK`; known without reading them."""
        ...

    def records(self) -> Iterator[EditRecord]:
        """All of them in order; raises DataError where the source is damaged."""
        ...


class Source(Protocol):
    """Where edits come from."""

    @property
    def name(self) -> str:
        """For tables and the data card."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """JSON values that decide which records there are; must agree for a build to be resumed."""
        ...

    def blocks(self) -> Iterator[Block]:
        """Every block once, always cut the same way."""
        ...


class Stage(StrEnum):
    """The stages that judge a record one by one, in order; the last two are done once more where the first failed."""

    SCREEN = "screen"
    CAPTION = "caption"
    VERIFY = "verify"


@dataclass(frozen=True)
class Verdict:
    """What a stage says of a record.

    Attributes:
        position: of the record.
        stage: who says it.
        passed: ``None`` where it could not be told: nothing is dropped for that, it is asked again next time.
        reason: why not, in the few words that the funnel counts by; ``None`` when passed.
        attempt: 0, or 1 after regeneration.
        captions: of the stage ``caption``.
        answers: JSON values behind the verdict.
    """

    position: int
    stage: Stage
    passed: bool | None
    reason: str | None = None
    attempt: int = 0
    captions: tuple[str, str] | None = None
    answers: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)

    def to_json(self) -> dict[str, Any]:
        """As it is written down."""
        said: dict[str, Any] = {"record": self.position, "stage": str(self.stage), "passed": self.passed}
        said |= {} if self.reason is None else {"reason": self.reason}
        said |= {"attempt": self.attempt} if self.attempt else {}
        said |= {} if self.captions is None else {"captions": list(self.captions)}
        return said | ({"answers": dict(self.answers)} if self.answers else {})

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Verdict:
        """The verdict that was written down; raises KeyError or ValueError where it is none."""
        captions = said.get("captions")
        return cls(
            position=int(said["record"]),
            stage=Stage(said["stage"]),
            passed=said["passed"],
            reason=said.get("reason"),
            attempt=int(said.get("attempt", 0)),
            captions=None if captions is None else (str(captions[0]), str(captions[1])),
            answers=said.get("answers", _NOTHING),
        )
