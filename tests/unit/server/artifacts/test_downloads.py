"""Models over HTTP, from servers that fail: everything or nothing, and a clear word."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import structlog.testing

from serinus_server.artifacts.fetch import fetch
from serinus_server.artifacts.folder import digest
from serinus_server.artifacts.limits import Limits
from serinus_server.artifacts.sources.http import _redirected
from serinus_server.artifacts.sources.job import Patience
from serinus_server.contract import ENV_MAX_MODEL_BYTES
from serinus_server.errors import DownloadFailed, NotAdmitted

from .faulty_server import (
    Answer,
    Site,
    chunked,
    cut,
    endless,
    ignoring_ranges,
    serving,
    stalled,
    status,
    unmeasured,
    whole,
)
from .hostile_archives import GOOD, member, tarred

WEIGHTS = os.urandom(300_000)
ARCHIVE = tarred(member("weights", WEIGHTS))
QUICK = Patience(attempts=4, first=0.001, stall=0.3)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir(mode=0o700)
    return folder


Get = Callable[..., Path]


@pytest.fixture
def get(workspace: Path) -> Get:
    """Fetch from a server with a script; nothing may be left behind when that fails."""

    def run(site: Site, **options: object) -> Path:
        options.setdefault("patience", QUICK)
        try:
            return fetch(site.url, workspace, **options)  # type: ignore[arg-type]
        except BaseException:
            assert list(workspace.iterdir()) == []
            raise

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "script",
    [
        [whole],
        [partial(whole, tag=None)],
        [chunked(complete=True)],
        [status(500), status(503, Retry_After="0"), whole],
        [status(429), whole],
        [cut(1000), whole],
        [cut(0), cut(100_000), whole],
        [cut(1000, tag=None), whole],
        [cut(1000, tag='W/"v1"'), whole],
        [cut(1000), ignoring_ranges],
        [cut(1000), status(416), whole],
        [cut(1000, tag='"of another version"'), whole],
        [chunked(complete=False), whole],
        [stalled(1000), whole],
    ],
    ids=[
        "at once", "without a tag", "in chunks", "after 5xx", "after 429", "after a break",
        "after two breaks", "after a break, without a tag", "after a break, with a weak tag",
        "after a break, without ranges", "after a range that is refused", "changed meanwhile",
        "after chunks without an end", "after a stall",
    ],
)  # fmt: skip
def test_the_model_comes_whole_whatever_happened_on_the_way(script: list[Answer], get: Get) -> None:
    with serving(ARCHIVE, *script) as site:
        assert contents(get(site)) == {**GOOD, "weights": WEIGHTS}
        assert len(site.requests) == len(script)


def test_a_broken_download_goes_on_where_it_was(get: Get) -> None:
    with serving(ARCHIVE, cut(100_000), whole) as site:
        get(site)
        headers = site.requests[1][1]
    start = int(headers["Range"].removeprefix("bytes=").removesuffix("-"))
    assert 0 < start <= 100_000
    assert headers["If-Range"] == '"v1"'


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ([status(404)], "404"),
        ([status(403)], "NETRC"),
        ([status(500)], "tried 4 times: the server answers 500"),
        ([cut(0)], "tried 4 times"),
        ([cut(1000, tag=None)], "tried 4 times: the connection ended early"),
        ([stalled(10)], "did not answer in time"),
        ([unmeasured], "does not say how long"),
        ([status(302, Location="file:///etc/passwd")], "redirects to something else than HTTP"),
        ([status(302)], "redirects to something else"),
        ([status(302, Location="http://user:secret@127.0.0.1/")], "password"),
        ([status(301, Location="/models/churn.tar.gz")], "redirects more than 5 times"),
    ],
)
def test_a_download_that_cannot_succeed_says_why_and_leaves_nothing(
    script: list[Answer], why: str, get: Get
) -> None:
    with serving(ARCHIVE, *script) as site, pytest.raises(DownloadFailed) as failed:
        get(site)
    assert why in str(failed.value)
    assert "secret" not in str(failed.value)


def test_a_redirect_is_followed_to_the_archive(get: Get) -> None:
    with serving(ARCHIVE, status(302, Location="/elsewhere"), whole) as site:
        assert contents(get(site))["weights"] == WEIGHTS
        assert [path for path, _ in site.requests] == ["/models/churn.tar.gz", "/elsewhere"]


def test_a_redirect_never_leads_from_https_to_http() -> None:
    assert _redirected("http://a/x", "https://b/y") == "https://b/y"
    assert _redirected("https://a/x", "/y") == "https://a/y"
    with pytest.raises(DownloadFailed, match="https to http"):
        _redirected("https://a/x", "http://a/x")


def test_a_server_that_is_not_there_is_told_about(get: Get) -> None:
    with serving(ARCHIVE, whole) as site:
        pass
    with pytest.raises(DownloadFailed, match="Connection refused"):
        get(site)


def test_bytes_are_counted_while_they_come_whatever_the_server_says(get: Get) -> None:
    with serving(ARCHIVE, endless) as site, pytest.raises(NotAdmitted, match=ENV_MAX_MODEL_BYTES):
        get(site, limits=Limits(max_bytes=5_000_000))


def test_a_file_that_says_it_is_too_large_is_not_begun(get: Get) -> None:
    with (
        serving(ARCHIVE, lambda handler: handler.begin(200, 10**15, ETag='"v1"')) as site,
        pytest.raises(NotAdmitted, match=ENV_MAX_MODEL_BYTES),
    ):
        get(site)
    assert len(site.requests) == 1


def test_the_load_timeout_bounds_a_server_that_never_ends(get: Get) -> None:
    with serving(ARCHIVE, endless) as site, pytest.raises(DownloadFailed, match="load timeout"):
        get(site, timeout=0.3)


def test_waiting_for_a_server_is_bounded_by_the_load_timeout(get: Get) -> None:
    with (
        serving(ARCHIVE, status(503, Retry_After="50")) as site,
        pytest.raises(DownloadFailed, match="within the load timeout"),
    ):
        get(site, timeout=5)


def test_a_broken_archive_is_not_a_model(get: Get) -> None:
    with serving(ARCHIVE[:-20], whole) as site, pytest.raises(NotAdmitted, match="broken"):
        get(site)


def test_progress_and_interruptions_are_in_the_log_and_secrets_are_not(get: Get) -> None:
    with serving(ARCHIVE, cut(100_000), whole) as site, structlog.testing.capture_logs() as log:
        get(site)
    progress = [entry for entry in log if entry["event"] == "downloading"]
    assert progress
    assert all(entry["total"] == len(ARCHIVE) for entry in progress)
    assert [entry["reason"] for entry in log if entry["event"] == "download interrupted"]


def test_credentials_come_from_netrc_and_go_only_to_their_host(
    get: Get, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1\nlogin me\npassword canary-secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(ARCHIVE, whole) as other, structlog.testing.capture_logs() as log:
        port = other.url.split(":")[2].split("/")[0]
        away = f"http://localhost:{port}/there"
        with serving(ARCHIVE, status(302, Location=away)) as site:
            get(site)
    assert site.requests[0][1]["Authorization"].startswith("Basic ")
    assert "Authorization" not in other.requests[0][1]
    assert "canary-secret" not in str(log)


def test_the_folder_for_the_model_must_be_private(workspace: Path) -> None:
    workspace.chmod(0o777)
    with pytest.raises(DownloadFailed, match="private"):
        fetch("file:///nowhere", workspace)


def test_an_archive_has_the_digest_of_the_folder_in_it(get: Get, tmp_path: Path) -> None:
    folder = tmp_path / "same"
    folder.mkdir()
    for name, content in {**GOOD, "weights": WEIGHTS}.items():
        (folder / name).write_bytes(content)
    with serving(ARCHIVE, whole) as site:
        assert digest(get(site)) == digest(folder)


@pytest.mark.parametrize("uri", ["http://h/model", "ftp://h/m.tar.gz", "dbfs:/m"])
def test_other_uris_are_refused(uri: str, workspace: Path) -> None:
    with pytest.raises(DownloadFailed):
        fetch(uri, workspace)
    assert list(workspace.iterdir()) == []
