"""The model of a run: fetched, checked, admitted and loaded as a server does it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from serinus_server.artifacts.admission import admit
from serinus_server.artifacts.fetch import fetch
from serinus_server.artifacts.folder import digest
from serinus_server.artifacts.limits import Limits
from serinus_server.errors import DigestMismatch
from serinus_server.runtimes.load import load
from serinus_server.service.model import Identity, ServedModel
from serinus_server.settings import Settings


@dataclass(frozen=True, slots=True)
class Fetched:
    """A model that may be loaded, in the private ``folder``."""

    folder: Path
    digest: str

    def load(self, *, fast_paths: bool) -> ServedModel:
        """The model, ready to be asked.

        Raises:
            LoadFailed: its files do not become a model.
        """
        runtime = load(self.folder, fast_paths=fast_paths)
        return ServedModel(runtime, Identity("batch", "", ""), lambda _: None)


@contextmanager
def fetched(settings: Settings) -> Iterator[Fetched]:
    """The model that ``settings`` name; its files are removed in the end.

    Raises:
        StartupError: it cannot be had, has another digest, or is not allowed.
    """
    limits = Limits(max_bytes=settings.max_model_bytes)
    with TemporaryDirectory(prefix="serinus-model-", ignore_cleanup_errors=True) as workspace:
        folder = fetch(
            settings.model_uri, Path(workspace), tracking_uri=settings.tracking_uri, limits=limits
        )
        found = digest(folder, limits)
        if settings.model_digest and found != settings.model_digest:
            raise DigestMismatch(
                f"the model's files have the digest {found}, "
                f"but {settings.model_digest} was asked for"
            )
        admit(folder, allow_custom_code=settings.allow_custom_code, limits=limits)
        yield Fetched(folder, found)
