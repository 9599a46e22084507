"""Which format a file has, by its name: ``.csv``, ``.jsonl`` or ``.parquet``, perhaps compressed."""

from __future__ import annotations

from dataclasses import dataclass

from serinus_server.batch.errors import UsageError

CSV, JSONL, PARQUET = "csv", "jsonl", "parquet"
FORMATS = (CSV, JSONL, PARQUET)
STREAM = "-"  # standard input or output, as a file's name

_SUFFIXES = {".csv": CSV, ".jsonl": JSONL, ".ndjson": JSONL, ".parquet": PARQUET, ".pq": PARQUET}
_CODECS = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True, slots=True)
class Format:
    """``kind`` is one of FORMATS; ``codec`` is empty, ``gzip`` or ``zstd`` around the whole file."""

    kind: str
    codec: str = ""


def format_of(name: str, given: str, option: str) -> Format:
    """The format of the file ``name``: as ``given``, or by its suffix.

    ``option`` is the command line's name for it, for messages.

    Raises:
        UsageError: nothing says which format it is, or it is none that is known.
    """
    if given and given not in FORMATS:
        raise UsageError(f"{option}-format must be one of {', '.join(FORMATS)}, not {given!r}")
    if name == STREAM:
        if not given:
            raise UsageError(f"{option} - needs {option}-format: {', '.join(FORMATS)}")
        return Format(given)
    stem, codec = name.lower(), ""
    for suffix, found in _CODECS.items():
        if stem.endswith(suffix):
            stem, codec = stem.removesuffix(suffix), found
    kind = given or next((kind for end, kind in _SUFFIXES.items() if stem.endswith(end)), "")
    if not kind:
        raise UsageError(
            f"{option} {name}: unknown extension; known are {', '.join(_SUFFIXES)}, "
            f"for text also with {' or '.join(_CODECS)}; {option}-format says it otherwise"
        )
    if kind == PARQUET and codec:
        raise UsageError(f"{option} {name}: Parquet is compressed inside, not as a whole file")
    return Format(kind, codec)
