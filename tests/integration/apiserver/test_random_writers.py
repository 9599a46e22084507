"""Several managers write at random: the sandbox and a real server keep the same object and owners."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from .connection import STRATEGIC_PATCH, Answer, Connection
from .test_conformance import REAL, real

__all__ = ["real"]  # a fixture

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.skipif(not REAL, reason="SERINUS_TEST_KUBECONFIG names no cluster"),
]

STEPS = 12
Write = Callable[[Connection, str], Answer]


def some(draw: random.Random, chance: float, value: Callable[[], Any]) -> Any:
    return value() if draw.random() < chance else None


def widget_spec(draw: random.Random) -> dict[str, Any]:
    def part(name: str) -> dict[str, str]:
        return {"name": name} if draw.random() < 0.4 else {"name": name, "value": draw.choice("12")}

    spec = {
        "size": some(draw, 0.8, lambda: draw.randint(1, 3)),
        "color": some(draw, 0.5, lambda: draw.choice(["Red", "Green"])),
        "replicas": some(draw, 0.4, lambda: draw.randint(0, 2)),
        "parts": some(draw, 0.6, lambda: [part(n) for n in draw.sample("abc", draw.randint(1, 3))]),
        "tags": some(draw, 0.5, lambda: draw.sample("xyz", draw.randint(1, 3))),
        "steps": some(draw, 0.5, lambda: [{"weight": draw.randint(0, 2)}]),
        "labels": some(draw, 0.5, lambda: {draw.choice("abc"): draw.choice("12")}),
        "free": some(draw, 0.3, lambda: {draw.choice("abc"): draw.randint(0, 1)}),
    }
    return {name: value for name, value in spec.items() if value is not None}


def deployment_spec(draw: random.Random) -> dict[str, Any]:
    container: dict[str, Any] = {"name": draw.choice("cd"), "image": f"i:{draw.randint(1, 2)}"}
    if draw.random() < 0.6:
        names = draw.sample("ABC", draw.randint(1, 3))
        container["env"] = [{"name": name, "value": draw.choice("12")} for name in names]
    if draw.random() < 0.5:
        ports = draw.sample([80, 81], draw.randint(1, 2))
        container["ports"] = [{"containerPort": port} for port in ports]
    if draw.random() < 0.4:
        container["resources"] = {"limits": {"cpu": draw.choice("12")}}
    labels = {"app": "one"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"paused": True, "selector": {"matchLabels": labels}, "template": template}
    return spec | ({"replicas": draw.randint(0, 3)} if draw.random() < 0.5 else {})


def random_write(draw: random.Random, kind: str, *, first: bool) -> Write:
    version = {"Widget": "test.serinus.dev/v1", "Deployment": "apps/v1"}[kind]
    metadata: dict[str, Any] = {"name": "one"}
    if draw.random() < 0.3:
        metadata["labels"] = {draw.choice("lm"): draw.choice("12")}
    spec = widget_spec(draw) if kind == "Widget" else deployment_spec(draw)
    if first:
        spec |= {"size": 1} if kind == "Widget" else {}
    manager = draw.choice(["one", "two"])
    how = "apply" if first else draw.choice(["apply", "apply", "force", "merge", "strategic"])
    body = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
    if how in ("apply", "force"):
        force = {"force": "true"} if how == "force" else {}
        return lambda server, path: server.apply(path, body, manager, **force)
    content = {"content": STRATEGIC_PATCH} if how == "strategic" and kind == "Deployment" else {}
    patch = {"metadata": metadata, "spec": spec}
    return lambda server, path: server.patch(
        path, patch, fieldManager=f"{manager}-patch", **content
    )


def plain(value: Any, skipped: tuple[str, ...] = ()) -> Any:
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if v is not None and k not in skipped}
        return {name: plain(inner, skipped) for name, inner in kept.items()}
    return [plain(inner, skipped) for inner in value] if isinstance(value, list) else value


def outcome(answer: Answer, kind: str) -> dict[str, Any]:
    body = answer.body
    if body["kind"] == "Status":
        # 1.20 repeats wrong paths in conflicts; their number is right.
        return {"code": answer.code, "causes": len(body["details"].get("causes") or [])}
    metadata = body["metadata"]
    entries = [
        {name: entry[name] for name in ("manager", "operation", "fieldsV1")}
        for entry in metadata.get("managedFields") or []
    ]
    # Which Go structures are pointers decides about the "." of built-in kinds.
    owners = plain(entries, (".",) if kind == "Deployment" else ())
    return {
        "code": answer.code,
        "spec": plain(body["spec"]),
        "labels": metadata.get("labels"),
        "generation": metadata["generation"],
        "owners": sorted(owners, key=str),
    }


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", ["Widget", "Deployment"])
def test_random_writers_leave_the_same_object(
    kind: str, seed: int, real: Connection, connection: Connection
) -> None:
    draw = random.Random(seed)  # noqa: S311
    namespace = f"random-{secrets.token_hex(4)}"
    group, plural = {
        "Widget": ("test.serinus.dev/v1", "widgets"),
        "Deployment": ("apps/v1", "deployments"),
    }[kind]
    path = f"/apis/{group}/namespaces/{namespace}/{plural}/one"
    servers = (real, connection)
    for server in servers:
        server.post("/api/v1/namespaces", {"metadata": {"name": namespace}})
    try:
        for step in range(STEPS):
            write = random_write(draw, kind, first=step == 0)
            want, got = (write(server, path) for server in servers)
            if want.code == 422 and "null" in want.body["message"]:
                break  # 1.20 leaves null where the last item of a list was, and refuses it then
            assert outcome(got, kind) == outcome(want, kind), f"step {step}"
    finally:
        for server in servers:
            server.delete(path)
            server.delete(f"/api/v1/namespaces/{namespace}")
