"""An environment is made once, and what cannot be installed is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.environments import OWN, InstallError, packages, prepare
from bench.peers.catalog import PEERS


def _requirements(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "some.txt").write_text(text)
    return folder


def test_it_is_made_once_and_used_again(tmp_path: Path) -> None:
    told: list[str] = []
    lists = _requirements(tmp_path / "lists", "# nothing\n")
    first = prepare("some", tmp_path / "home", told.append, lists)
    assert (first / "python").exists()
    assert told
    told.clear()
    assert prepare("some", tmp_path / "home", told.append, lists) == first
    assert told == []


def test_what_cannot_be_installed_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    lists = _requirements(tmp_path / "lists", "--no-index\nno-such-package-anywhere==1\n")
    with pytest.raises(InstallError, match="no-such-package-anywhere"):
        prepare("some", tmp_path / "home", lambda _: None, lists)
    assert [entry.name for entry in (tmp_path / "home").iterdir()] == ["lock"]


def test_every_peer_has_its_packages_pinned() -> None:
    for peer in PEERS.values():
        if peer.environment != OWN:
            lines = packages(peer.environment).splitlines()
            pins = [line for line in lines if not line.startswith("#")]
            assert all("==" in line for line in pins)
            assert not peer.package or any(pin.startswith(f"{peer.package}==") for pin in pins)


def test_ours_has_what_the_server_needs_and_nothing_of_the_tests() -> None:
    wanted = packages(OWN)
    assert "uvicorn" in wanted
    assert "scikit-learn" in wanted
    assert "constraints.txt" in wanted
    assert "pytest" not in wanted
