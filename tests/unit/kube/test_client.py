"""Lists in pages, against an API server of canned answers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from serinus.kube.client import KubeClient
from serinus.ports import ApiError, Invalid
from serinus.reconcile import kinds


class ApiServer:
    """Has ``count`` objects; ``forgets``: no token is known any more."""

    def __init__(self) -> None:
        self.count = 7
        self.forgets = self.refuses = False
        self.asked: list[dict[str, str]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        begin = int(request.query.get("continue", 0))
        if self.refuses or (begin and self.forgets):
            return web.json_response({"reason": "Expired", "message": "too old"}, status=410)
        limit = int(request.query.get("limit", self.count))
        names = range(self.count)[begin : begin + limit]
        more = {"continue": str(begin + limit)} if begin + limit < self.count else {}
        items = [{"metadata": {"name": f"m{number}"}} for number in names]
        return web.json_response({"metadata": more, "items": items})


@pytest.fixture
async def api() -> AsyncIterator[ApiServer]:
    yield ApiServer()


@pytest.fixture
async def kube(api: ApiServer) -> AsyncIterator[KubeClient]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    configuration = Configuration()
    configuration.host = f"http://{host}:{port}"
    client = KubeClient(ApiClient(configuration=configuration), 5.0, page=3)
    yield client
    await client.close()
    await runner.cleanup()


async def listed(kube: KubeClient) -> list[str]:
    found = await kube.list(kinds.MODEL_DEPLOYMENT, None, {})
    return [item["metadata"]["name"] for item in found]


async def test_a_list_is_read_page_by_page_and_whole(api, kube) -> None:
    assert await listed(kube) == [f"m{number}" for number in range(7)]
    assert [query.get("continue") for query in api.asked] == [None, "3", "6"]
    assert {query["limit"] for query in api.asked} == {"3"}


async def test_a_list_whose_moment_is_forgotten_is_read_at_once_and_holds_nothing_twice(
    api, kube
) -> None:
    api.forgets = True
    assert await listed(kube) == [f"m{number}" for number in range(7)]
    assert api.asked[-1] == {}


async def test_a_list_that_is_refused_for_good_is_an_error(api, kube) -> None:
    api.refuses = True
    with pytest.raises(ApiError) as refused:
        await listed(kube)
    assert isinstance(refused.value, Invalid)
    assert len(api.asked) == 1


async def test_labels_are_asked_for_on_every_page(api, kube) -> None:
    await kube.list(kinds.POD, "ml", {"b": "2", "a": "1"})
    assert {query["labelSelector"] for query in api.asked} == {"a=1,b=2"}
