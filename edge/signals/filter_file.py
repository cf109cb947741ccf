"""What an adaptive filter has learned of its wearer, as a file beside their bundle.

It is the sums that the filter is fitted to, not the weights: so it goes on learning where it stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from edge import __version__
from edge.errors import FileError
from edge.signals import sums_file
from edge.signals.layout import Layout
from edge.signals.learner import Learned
from edge.storage import atomic_file

SUFFIX = ".filter"
_FIX = "delete or move the file to learn anew"


class _About(sums_file.About):
    schema_: str = Field(default="edge-msk/filter", alias="schema")
    subject: str
    model_sha256: str
    movement_s: float = Field(ge=0)


@dataclass(frozen=True, eq=False)
class KeptFilter:
    """A learned filter, whose it is, and what it stands on."""

    path: Path
    subject: str
    model_sha256: str
    layout: Layout
    learned: Learned
    program: str = f"edge-msk {__version__}"

    @classmethod
    def read(cls, path: Path) -> KeptFilter:
        """Raises FileError naming file, field and fix."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise FileError(f"{path}: cannot be read ({error.strerror}): check the path and its permissions") from None
        return cls.from_bytes(content, path)

    @classmethod
    def from_bytes(cls, content: bytes, path: Path) -> KeptFilter:
        """The filter of a file's content; `path` names it in messages. Raises FileError."""
        about, sums = sums_file.from_bytes(content, path, _About, what="filter", fix=_FIX, error=FileError)
        return cls(
            path, about.subject, about.model_sha256, about.layout, Learned(sums, about.movement_s), about.program
        )

    def to_bytes(self) -> bytes:
        """The file's content: the same for the same filter."""
        about = _About(
            program=self.program,
            layout=self.layout,
            subject=self.subject,
            model_sha256=self.model_sha256,
            movement_s=self.learned.movement_s,
        )
        return sums_file.to_bytes(about, self.learned.sums)

    def write(self) -> None:
        """Write the file, whole or not at all. Raises FileError."""
        with atomic_file(self.path) as temporary:
            temporary.write_bytes(self.to_bytes())

    def require(self, subject: str, model_sha256: str, layout: Layout) -> None:
        """Raise FileError where it is another wearer's, or stands on something else than this session's channels."""
        found = self.layout.difference(layout)
        for name, own, wanted in (
            ("subject", self.subject, subject),
            ("model_sha256", self.model_sha256, model_sha256),
            *(() if found is None else ((f"layout.{found[0]}", *found[1:]),)),
        ):
            if own != wanted:
                raise FileError(
                    f"{self.path}: `{name}` is {own}, this session's is {wanted}: what was learned there does not hold here: "
                    f"{_FIX}, or name another file in the configuration (`filter.file`)"
                )
