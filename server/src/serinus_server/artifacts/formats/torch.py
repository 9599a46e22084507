"""Look into what ``torch.save`` wrote: a zip file of one pickle and the tensors' bytes."""

from __future__ import annotations

import re
from pathlib import Path

from serinus_server.artifacts.formats.pickled import check_pickle_stream
from serinus_server.artifacts.formats.zipped import open_zip
from serinus_server.artifacts.limits import Budget
from serinus_server.artifacts.names import shown
from serinus_server.contract import ENV_ALLOW_CUSTOM_CODE
from serinus_server.errors import NotAdmitted

_PLAIN_ENTRY = re.compile(
    r"(data\.pkl|data/[0-9]+|version|byteorder|\.format_version|\.storage_alignment"
    r"|\.data/serialization_id)"
)


def check_torch(path: Path, budget: Budget) -> None:
    """Refuse the file ``path`` if it calls for anything that is not trusted.

    TorchScript, exported programs and the format before PyTorch 1.6 are programs, or several
    pickles in a row, and always refused.

    Raises:
        NotAdmitted: as told.
    """
    with open_zip(path, budget) as archive:
        entries = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
        roots = {name.partition("/")[0] for name in entries}
        plain = all(_PLAIN_ENTRY.fullmatch(name.partition("/")[2]) for name in entries)
        if len(roots) != 1 or not plain:
            raise NotAdmitted(
                f"{shown(path.name)} is TorchScript or an exported program, which is code; "
                f"{ENV_ALLOW_CUSTOM_CODE}=true allows it"
            )
        try:
            content = archive.open(f"{roots.pop()}/data.pkl")
        except KeyError:
            raise NotAdmitted(f"{shown(path.name)} holds no PyTorch model") from None
        with content:
            check_pickle_stream(content, path.name, storages=True)  # type: ignore[arg-type]
