"""One bounded HTTP read, for sources that must never hold a worker or fill the memory.

An HTTP client's own timeout runs anew with every chunk, and a body is whole in memory before its
size can be seen; here one deadline and one limit hold for the whole answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from math import isnan

import httpx2

from serinus_server import contract

BUCKET = f"{contract.METRIC_DURATION}_bucket"


class FetchFailed(Exception):
    """There is no usable answer; the text says why, for people."""


class TooLarge(FetchFailed):
    """There is more than the limit."""


async def fetch(
    client: httpx2.AsyncClient,
    method: str,
    url: str,
    *,
    limit: int,
    seconds: float,
    form: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Status and body of an answer of at most ``limit`` bytes that is complete in ``seconds``.

    Raises:
        TooLarge: the answer has more.
        FetchFailed: anything else.
    """
    headers = {"Accept-Encoding": "identity"}  # no small answer that unpacks to a large one
    body = bytearray()
    try:
        async with (
            asyncio.timeout(seconds),
            client.stream(method, url, data=form, headers=headers) as answer,
        ):
            encoding = answer.headers.get("Content-Encoding", "identity")
            if encoding != "identity":
                raise FetchFailed(f"answered with the encoding {encoding[:40]!r}, not asked for")
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > limit:
                    raise TooLarge(f"answered more than {limit} bytes")
            return answer.status_code, bytes(body)
    except TimeoutError as e:
        raise FetchFailed(f"did not answer completely within {seconds:g} s") from e
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError, ValueError) as e:
        raise FetchFailed(str(e) or type(e).__name__) from e


def check_bucket(name: str, labels: Mapping[str, str]) -> None:
    """Every latency bucket needs its bound.

    Raises:
        ValueError: there is none, or it is no number.
    """
    if name == BUCKET and isnan(float(labels.get("le", "nan"))):
        raise ValueError(f"{BUCKET} without a usable le label")
