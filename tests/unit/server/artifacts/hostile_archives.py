"""Archives made by somebody who wants to write outside of the folder, or to fill the machine."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from .hostile_files import renamed_in_front, two_faced, zipped
from .hostile_folders import HARMLESS, SKLEARN

MLMODEL = yaml.safe_dump(SKLEARN).encode()
GOOD = {"MLmodel": MLMODEL, "model.pkl": HARMLESS}


@dataclass(frozen=True, slots=True)
class Case:
    """``make(canary)`` is the archive's bytes; ``why`` is what the refusal must say."""

    name: str
    suffix: str
    make: Callable[[Path], bytes] = field(repr=False)
    why: str


def member(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content)
    return info, content


def tarred(*extra: tuple[tarfile.TarInfo, bytes], compress: bool = True) -> bytes:
    """A model as an archive, with ``extra`` members behind it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, content in (*(member(*pair) for pair in GOOD.items()), *extra):
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(buffer.getvalue()) if compress else buffer.getvalue()


def tar(name: str, why: str, *extra: tuple[tarfile.TarInfo, bytes]) -> Case:
    return Case(f"tar: {name}", ".tar.gz", lambda _: tarred(*extra), why)


def zip_entry(name: str, content: bytes = b"x", mode: int = 0, flags: int = 0) -> bytes:
    """A model as a zip file, with one more entry of any ``mode`` and ``flags``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for each, text in GOOD.items():
            archive.writestr(zipfile.ZipInfo(each), text)
        info = zipfile.ZipInfo(name)
        info.external_attr, info.create_system = mode << 16, 3
        archive.writestr(info, content)
    made = buffer.getvalue()
    if flags:  # of the last entry, in both places
        at = made.rindex(b"PK\x03\x04") + 6
        made = made[:at] + bytes([made[at] | flags]) + made[at + 1 :]
        at = made.rindex(b"PK\x01\x02") + 8
        made = made[:at] + bytes([made[at] | flags]) + made[at + 1 :]
    return made


def zip_case(name: str, why: str, make: Callable[[], bytes]) -> Case:
    return Case(f"zip: {name}", ".zip", lambda _: make(), why)


def tars() -> Iterator[Case]:
    yield tar("parent folder", "out of its folder", member("../canary", b"x"))
    yield tar("parent folder inside a path", "out of its folder", member("data/../../canary", b"x"))
    yield Case(
        "tar: absolute path", ".tgz", lambda canary: tarred(member(str(canary), b"x")), "absolute"
    )
    yield tar(
        "path that starts with a dot and a parent", "out of its folder", member("./../canary", b"x")
    )
    yield tar("link out", "a link", member("out", kind=tarfile.SYMTYPE, link=".."))
    yield tar(
        "link out, and a file through it", "a link",
        member("out", kind=tarfile.SYMTYPE, link=".."), member("out/canary", b"x"),
    )  # fmt: skip
    yield tar("link within", "a link", member("also", kind=tarfile.SYMTYPE, link="model.pkl"))
    yield tar(
        "second name of a file outside",
        "a link",
        member("passwd", kind=tarfile.LNKTYPE, link="/etc/passwd"),
    )
    yield tar(
        "second name of a file inside",
        "a link",
        member("also", kind=tarfile.LNKTYPE, link="model.pkl"),
    )
    yield tar("character device", "a device", member("null", kind=tarfile.CHRTYPE))
    yield tar("block device", "a device", member("disk", kind=tarfile.BLKTYPE))
    yield tar("pipe", "a device or a pipe", member("pipe", kind=tarfile.FIFOTYPE))
    yield tar("contiguous file", "unusual", member("c", b"x", kind=tarfile.CONTTYPE))
    yield tar("file twice", "one name", member("model.pkl", b"x"))
    yield tar("file in other capitals", "one name", member("MLMODEL", b"x"))
    yield tar(
        "file in another Unicode form", "one name", member("\u00e9", b"x"), member("e\u0301", b"x")
    )
    yield tar("file below a file", "one name", member("model.pkl/x", b"x"))
    yield tar("line break", "cannot be shown", member("a\nb", b"x"))
    yield tar("backslash", "other systems", member("..\\canary", b"x"))
    yield tar("long name", "longer than", member("a" * 300, b"x"))
    yield tar("long path", "longer than", member("/".join(["a" * 200] * 6), b"x"))
    yield tar("deep path", "folders deep", member("/".join("a" * 60), b"x"))
    yield tar("folder elsewhere", "out of its folder", member("../out", kind=tarfile.DIRTYPE))
    yield tar("bomb of one file", "bomb", member("zeros", bytes(40_000_000)))
    yield Case(
        "tar: nothing but zeros", ".tar.gz", lambda _: gzip.compress(bytes(40_000_000)), "bomb"
    )
    yield Case("tar: header that fills the memory", ".tar.gz", _long_header, "broken")
    yield Case("tar: headers without an end", ".tar.gz", _many_headers, "broken")
    yield Case("tar: cut short", ".tar.gz", lambda _: tarred()[:-30], "broken")
    yield Case("tar: cut short, plain", ".tar", lambda _: tarred(compress=False)[:700], "broken")
    yield Case("tar: not compressed", ".tar.gz", lambda _: tarred(compress=False), "gzip")
    yield Case("tar: no archive", ".tar.gz", lambda _: b"<html>Sign in</html>", "gzip")
    yield Case("tar: empty", ".tar.gz", lambda _: b"", "broken")
    yield Case("tar: no model", ".tar.gz", lambda _: _without_model(), "no MLmodel")
    yield Case("tar: two models", ".tar.gz", lambda _: _two_models(), "no MLmodel")


def _long_header(_: Path) -> bytes:
    """A name of extended attributes that says it is 4 GB long, and is."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 4 * 1024**3
    head = info.tobuf(tarfile.GNU_FORMAT)
    return gzip.compress(head + bytes(3_000_000))


def _many_headers(_: Path) -> bytes:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1
    return gzip.compress((info.tobuf(tarfile.GNU_FORMAT) + b"y" + bytes(511)) * 3000)


def _without_model() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(member("readme")[0])
    return buffer.getvalue()


def _two_models() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in ("a/MLmodel", "b/MLmodel"):
            info, content = member(name, MLMODEL)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _with_nul(times: int) -> bytes:
    return zipped({**GOOD, "aXb": b"x"}).replace(b"aXb", b"a\0b", times)


def zips() -> Iterator[Case]:
    yield zip_case(
        "parent folder", "out of its folder", lambda: zipped({**GOOD, "../canary": b"x"})
    )
    yield Case(
        "zip: absolute path", ".zip", lambda canary: zipped({**GOOD, str(canary): b"x"}), "absolute"
    )
    yield zip_case("link", "a link", lambda: zip_entry("out", b"..", stat.S_IFLNK | 0o777))
    yield zip_case(
        "device", "a link or a device", lambda: zip_entry("null", b"", stat.S_IFCHR | 0o666)
    )
    yield zip_case("encrypted", "encrypted", lambda: zip_entry("secret", flags=1))
    yield zip_case("backslash", "other systems", lambda: zipped({**GOOD, "..\\canary": b"x"}))
    yield zip_case(
        "NUL in a name",
        "two different ways",
        lambda: zipped({**GOOD, "aXb": b"x"}).replace(b"aXb", b"a\0b", 1),
    )
    yield zip_case(
        "NUL in both names", "NUL", lambda: zipped({**GOOD, "aXb": b"x"}).replace(b"aXb", b"a\0b")
    )
    yield zip_case(
        "bomb", "bomb", lambda: zipped({**GOOD, "zeros": bytes(40_000_000)}, zipfile.ZIP_DEFLATED)
    )
    yield zip_case("another algorithm", "unusual", lambda: zipped(GOOD, zipfile.ZIP_LZMA))
    yield zip_case(
        "another archive in front", "two different ways", lambda: two_faced(GOOD, {"MLmodel": b"x"})
    )
    yield zip_case("program in front", "two different ways", lambda: b"#!/bin/sh\n" + zipped(GOOD))
    yield zip_case("bytes behind", "no entry", lambda: zipped(GOOD) + b"x")
    yield zip_case(
        "two names of one entry",
        "two different ways",
        lambda: renamed_in_front(zipped(GOOD), b"MLmodel", b"MLmodex"),
    )
    yield zip_case(
        "wrong checksum", "broken", lambda: zipped(GOOD).replace(HARMLESS, HARMLESS[:-2] + b"x.")
    )
    yield zip_case("capitals", "one name", lambda: zipped({**GOOD, "Model.pkl": b"x"}))
    yield zip_case("cut short", "no zip", lambda: zipped(GOOD)[:-40])
    yield zip_case("empty", "no zip", lambda: b"")


CASES = [*tars(), *zips()]
