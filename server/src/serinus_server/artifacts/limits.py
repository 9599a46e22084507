"""How much a model may be. Counted while its bytes come, so that no claim is believed."""

from __future__ import annotations

from dataclasses import dataclass

from serinus_server.contract import DEFAULT_MAX_MODEL_BYTES, ENV_MAX_MODEL_BYTES
from serinus_server.errors import NotAdmitted

MAX_FILES = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one model may have: ``max_bytes`` in all files together, and ``max_files``."""

    max_bytes: int = DEFAULT_MAX_MODEL_BYTES
    max_files: int = MAX_FILES


class Budget:
    """What is left of ``limits`` for one model. Not for several threads."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.bytes = 0
        self.files = 0

    def add_file(self) -> None:
        """Count one more file.

        Raises:
            NotAdmitted: it is one too many.
        """
        self.files += 1
        if self.files > self.limits.max_files:
            raise NotAdmitted(f"the model has more than {self.limits.max_files} files")

    def add_bytes(self, count: int) -> None:
        """Count ``count`` more bytes of content.

        Raises:
            NotAdmitted: they are too many.
        """
        self.bytes += count
        self.check_total(self.bytes)

    def check_total(self, total: int) -> None:
        """Refuse a model that has, or says it has, ``total`` bytes.

        Raises:
            NotAdmitted: they are too many.
        """
        if total > self.limits.max_bytes:
            raise NotAdmitted(
                f"the model is larger than the limit of {self.limits.max_bytes} bytes; "
                f"{ENV_MAX_MODEL_BYTES} raises it"
            )
