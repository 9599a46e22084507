"""The page of the documentation needs nothing but this server, wherever its paths begin."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
async def page(serve: Any, scripted: Any, empty_model: Path) -> Any:
    async with serve(empty_model, lambda _: scripted(lambda _: [1])) as server:
        return await server.client.get("/docs")


async def test_the_page_asks_for_nothing_from_elsewhere(page: Any) -> None:
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert re.findall(r"https?://[^\"'\s]*", page.text) == []
    assert set(re.findall(r"(?:src|href)=\"([^\"]*)\"", page.text)) == {"data:,", "openapi.json"}
    assert re.findall(r"fetch\(\"([^\"]*)\"", page.text) == ["openapi.json"]


async def test_the_browser_runs_only_the_pages_own_script(page: Any) -> None:
    policy = dict(
        part.split(" ", 1) for part in page.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    for directive, tag in (("script-src", "script"), ("style-src", "style")):
        ((found),) = re.findall(f"<{tag}>(.*?)</{tag}>", page.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(found.encode()).digest()).decode()
        assert policy[directive] == f"'sha256-{digest}'"
        assert len(found) > 1000


async def test_text_of_the_model_never_becomes_markup(page: Any) -> None:
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", page.text
    )
