"""The limit: the V2 protocol's JSON read and written by orjson on uvicorn, and no model at all.

What a Python server on uvicorn could reach if checking, predicting and counting cost nothing. The
answer has a line of the right shape and no meaning.
"""

from __future__ import annotations

from typing import Any

import orjson

_HEAD = b"application/json"


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """An ASGI application: one tensor in, one tensor out."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    tensor = orjson.loads(body)["inputs"][0]
    rows = tensor["shape"][0]
    output = {"name": "output-0", "datatype": "INT64", "shape": [rows], "data": [0] * rows}
    answer = orjson.dumps({"model_name": "bench", "outputs": [output]})
    headers = [(b"content-type", _HEAD), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
