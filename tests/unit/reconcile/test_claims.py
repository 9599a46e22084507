"""Of two objects that ask for the same address, the earlier answers; and it is found out in time."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest
from memory import CR, KEY, ROUTE, Shell

from serinus.api.spec import GatewayRef
from serinus.ports import Kind, Ref
from serinus.reconcile import kinds
from serinus.reconcile.claims import ClaimIndex, rival_of
from serinus.reconcile.deps import Key

PUBLIC = GatewayRef(name="public", namespace="infra")
EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def model(name: str = "churn", *, namespace: str = "ml", created: str = EARLY, **more: Any) -> dict:
    traffic = {k: more[k] for k in ("hostnames", "path", "gateway") if k in more}
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{namespace}-{name}",
            "resourceVersion": more.get("version", "1"),
            "creationTimestamp": created,
        },
        "spec": more.get("spec", {"model": {"uri": "models:/a/1"}, "traffic": traffic}),
        **({"status": {"claim": more["claim"]}} if "claim" in more else {}),
    }


def claim(since: str, **fields: Any) -> dict[str, Any]:
    return {"hostnames": [], "path": "/", "gateway": "infra/public", "since": since, **fields}


def first(*objects: dict, key: Key = KEY, default: GatewayRef | None = PUBLIC) -> str:
    """The name of the one before ``key``, or nothing."""
    index = ClaimIndex()
    index.replace(objects)
    found = index.rival(key, default)
    return found[1].name if found else ""


MINE = model(created=LATE)
OTHERS: dict[str, tuple[dict, dict, str]] = {
    "the older one is first": (MINE, model("other"), "other"),
    "the younger one is not": (model(), model("other", created=LATE), ""),
    "another path is another address": (MINE, model("other", path="/x"), ""),
    "other host names are other addresses": (
        model(created=LATE, hostnames=["a.example.com"]),
        model("other", hostnames=["b.example.com"]),
        "",
    ),
    "one host name in common is enough": (
        model(created=LATE, hostnames=["a.example.com", "b.example.com"]),
        model("other", hostnames=["b.example.com", "c.example.com"]),
        "other",
    ),
    "another Gateway is another address": (MINE, model("other", gateway={"name": "own"}), ""),
    "the default Gateway, named": (
        MINE,
        model("other", gateway={"name": "public", "namespace": "infra"}),
        "other",
    ),
    "the default Gateway, named by us": (
        model(created=LATE, gateway={"name": "public", "namespace": "infra"}),
        model("other"),
        "other",
    ),
    "a claim on record beats age": (model(), model("other", created=LATE, claim=claim(LATE)), "other"),
    "a claim on record for another address does not": (
        model(),
        model("other", created=LATE, claim=claim(LATE, path="/x")),
        "",
    ),
    "a claim that cannot be read does not": (
        model(),
        model("other", created=LATE, claim={"path": 7}),
        "",
    ),
    "what cannot be read asks for nothing": (MINE, model("other", spec={"model": 7}), ""),
    "nor does what was made at no time": (MINE, model("other", created="soon"), ""),
    "if we cannot be read, nobody is before us": (model(spec={}), model("other"), ""),
}  # fmt: skip


@pytest.mark.parametrize(("mine", "other", "want"), OTHERS.values(), ids=OTHERS)
def test_who_is_first(mine: dict, other: dict, want: str) -> None:
    assert first(mine, other) == first(other, mine) == want


def test_gateways_without_a_namespace_are_those_of_each_objects_own() -> None:
    elsewhere = model("other", namespace="shop")
    assert first(MINE, elsewhere, default=GatewayRef(name="public")) == ""
    assert first(MINE, elsewhere, default=PUBLIC) == "other"


def test_without_any_gateway_there_is_nothing_to_claim() -> None:
    assert first(MINE, model("other"), default=None) == ""


def test_the_index_follows_changes_deletions_and_full_lists() -> None:
    index = ClaimIndex()
    index.put(MINE)
    index.put(model("other"))
    assert index.rival(KEY, PUBLIC) is not None
    index.put(model("other", path="/x", version="2"))
    assert index.rival(KEY, PUBLIC) is None
    index.put(model("other", version="3"))
    index.drop(Key("ml", "other"))
    index.drop(Key("ml", "other"))
    assert index.rival(KEY, PUBLIC) is None
    index.put(model("other", version="4"))
    index.replace([MINE])
    assert (index.rival(KEY, PUBLIC), len(index)) == (None, 1)


def test_an_object_made_anew_with_the_same_name_is_another_one() -> None:
    index = ClaimIndex()
    index.replace([MINE, model("other")])
    again = model("other", created="2026-01-03T00:00:00Z")
    again["metadata"]["uid"] = "uid-new"
    index.put(again)
    assert index.rival(KEY, PUBLIC) is None


@pytest.fixture
async def shell() -> Shell:
    made = Shell()
    made.kube[CR]["metadata"]["creationTimestamp"] = LATE
    return made


OTHER = Ref(kinds.MODEL_DEPLOYMENT, "ml", "other")


def add_other(shell: Shell, created: str = EARLY) -> None:
    live = shell.kube.put(OTHER, {"spec": {"model": {"uri": "models:/a/1"}}})
    live["metadata"]["creationTimestamp"] = created


async def test_a_rival_that_no_event_told_of_is_found_before_the_first_route(shell: Shell) -> None:
    add_other(shell)
    await shell.run()
    assert ("httproutes", "ml", ROUTE.name) not in shell.kube.objects
    (ready, *_) = [c for c in shell.status["conditions"] if c["type"] == "Ready"]
    assert ready["reason"] == "AddressTaken"
    assert "ml/other has claimed every host path / of the Gateway ml/public" in ready["message"]
    assert EARLY in ready["message"]


async def test_when_the_rival_is_gone_the_next_one_serves(shell: Shell) -> None:
    add_other(shell)
    await shell.run()
    del shell.kube.objects["modeldeployments", "ml", "other"]
    shell.deps.claims.drop(Key("ml", "other"))
    await shell.run()
    assert shell.status["phase"] == "Ready"


async def test_who_serves_already_stays(shell: Shell) -> None:
    await shell.run()
    add_other(shell)  # older, but without a claim on record
    shell.deps.claims.put(shell.kube[OTHER])
    await shell.run(3)
    assert shell.status["phase"] == "Ready"
    assert shell.weights() == [100]


async def test_all_objects_are_listed_only_when_a_route_is_about_to_move(shell: Shell) -> None:
    listed: list[str] = []
    original = shell.kube.list

    async def list_(kind: Kind, namespace: str | None, labels: dict) -> Any:
        if kind is kinds.MODEL_DEPLOYMENT:
            listed.append(namespace or "all")
        return await original(kind, namespace, labels)

    shell.kube.list = list_
    await shell.run()
    assert set(listed) == {"all"}, "when the claim goes on record, and when the route is made"
    assert len(listed) == 2
    listed.clear()
    await shell.run(20)
    assert listed == []
    shell.kube[CR]["spec"]["traffic"] = {"path": "/churn"}
    shell.kube.put(CR, shell.kube[CR])
    await shell.run(5)
    assert listed == ["all", "all"]


async def test_many_that_begin_at_once_share_a_listing() -> None:
    shell, listed = Shell(), []
    original = shell.kube.list

    async def list_(kind: Kind, namespace: str | None, labels: dict) -> Any:
        listed.append(kind.plural)
        await asyncio.sleep(0)
        return await original(kind, namespace, labels)

    shell.kube.list = list_
    keys = [Key("ml", f"model-{i}") for i in range(20)]
    for key in keys:
        spec = {
            "model": {"uri": "models:/a/1"},
            "traffic": {"hostnames": [f"{key.name}.example.com"]},
        }
        made = shell.kube.put(Ref(kinds.MODEL_DEPLOYMENT, "ml", key.name), {"spec": spec})
        made["metadata"]["creationTimestamp"] = EARLY
    refs = [Ref(kinds.MODEL_DEPLOYMENT, "ml", key.name) for key in keys]
    told = await asyncio.gather(
        *(
            rival_of(key, shell.deps, shell.kube[ref], moving=True)
            for key, ref in zip(keys, refs, strict=True)
        )
    )
    assert set(told) == {""}
    assert len(listed) == 1


async def test_every_watched_namespace_is_listed(shell: Shell) -> None:
    deps = dataclasses.replace(shell.deps, namespaces=("other", "ml"))
    add_other(shell)
    deps.claims.put(shell.kube[CR])
    assert "ml/other" in await rival_of(KEY, deps, shell.kube[CR], moving=True)


async def test_the_names_that_are_shared_are_told(shell: Shell) -> None:
    hosts = {"hostnames": ["a.example.com", "b.example.com"]}
    shell.kube[CR]["spec"]["traffic"] = hosts
    add_other(shell)
    shell.kube[OTHER]["spec"]["traffic"] = {"hostnames": ["b.example.com"]}
    shell.deps.claims.replace([shell.kube[CR], shell.kube[OTHER]])
    told = await rival_of(KEY, shell.deps, shell.kube[CR], moving=False)
    assert told.startswith("ml/other has claimed host b.example.com path / of the Gateway")
