"""Request scripts whose answers must be the same from the sandbox and from Kubernetes.

Each script takes a ``Recorder`` and sends requests; what counts of every answer is recorded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from .connection import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, Answer, Connection

Outcome = dict[str, Any]
SCRIPTS: dict[str, Callable[[Recorder], None]] = {}

GROUPS = {
    "deployments": "/apis/apps/v1",
    "gadgets": "/apis/test.serinus.dev/v1",
    "leases": "/apis/coordination.k8s.io/v1",
    "widgets": "/apis/test.serinus.dev/v1",
}
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class Recorder:
    """Sends requests in a namespace of its own and keeps the normalised answers."""

    def __init__(self, connection: Connection, namespace: str) -> None:
        self.connection = connection
        self.namespace = namespace
        self.outcomes: list[Outcome] = []
        self._revisions: dict[str, str] = {}

    def path(self, plural: str, name: str = "", sub: str = "") -> str:
        group = GROUPS.get(plural, "/api/v1")
        return "/".join(filter(None, (f"{group}/namespaces/{self.namespace}", plural, name, sub)))

    def keep(self, answer: Answer, *show: str, message: bool = True) -> Any:
        """Record an answer; ``show`` names dotted fields of the object that count too."""
        body = answer.body if isinstance(answer.body, dict) else {}
        outcome: Outcome = {"code": answer.code}
        if body.get("kind") == "Status":
            outcome["reason"] = body.get("reason")
            outcome["status"] = body.get("status")
            details = body.get("details") or {}
            outcome["details"] = [details.get(name) for name in ("group", "kind", "name")]
            causes = details.get("causes") or []
            outcome["causes"] = sorted(
                {_cause(cause) for cause in causes if cause.get("field") != "<nil>"}
            )
            if message:
                outcome["message"] = self._text(body.get("message", ""))
        elif (metadata := body.get("metadata") or {}).get("resourceVersion"):
            key = f"{body.get('kind')}/{metadata.get('name')}"
            revision = metadata.get("resourceVersion", "")
            outcome["changed"] = self._revisions.get(key) != revision
            self._revisions[key] = revision
            outcome["generation"] = metadata.get("generation")
        for field in show:
            outcome[field] = json.loads(self._text(json.dumps(_plain(_field(body, field)))))
        self.outcomes.append(outcome)
        return answer.body

    def _text(self, text: str) -> str:
        text = text.replace(self.namespace, "NAMESPACE")
        return _TIME.sub("TIME", _UID.sub("UID", text))


def _plain(value: Any) -> Any:
    """Without nulls, which Kubernetes before 1.33 writes for unset times."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items() if inner is not None}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _cause(cause: dict[str, str]) -> tuple[str, str]:
    """A cause in the words of Kubernetes 1.20: no indexes in paths, fewer reasons."""
    reason = cause.get("reason", "")
    if reason in ("FieldValueTypeInvalid", "FieldValueTooMany"):
        reason = "FieldValueInvalid"
    return re.sub(r"(?<=\w)\[\d+\]", "", cause.get("field", "")), reason


def _field(body: Any, path: str) -> Any:
    for part in path.split("."):
        body = body.get(part) if isinstance(body, dict) else None
    return body


def script(function: Callable[[Recorder], None]) -> Callable[[Recorder], None]:
    SCRIPTS[function.__name__] = function
    return function


def config_map(name: str = "one", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def widget(name: str = "one", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "test.serinus.dev/v1",
        "kind": "Widget",
        "metadata": {"name": name},
        "spec": {"size": 3, **spec},
    }


def deployment(name: str = "one", **spec: Any) -> dict[str, Any]:
    labels = {"app": name}
    container = {"name": "c", "image": "i:1", "env": [{"name": "A", "value": "1"}]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    body = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template, **spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": body,
    }


@script
def create_read_replace_delete(r: Recorder) -> None:
    api, maps, one = r.connection, r.path("configmaps"), r.path("configmaps", "one")
    r.keep(api.get(one))
    created = r.keep(api.post(maps, config_map(a="1")), "data")
    r.keep(api.post(maps, config_map(a="1")))
    r.keep(api.get(one), "data", "metadata.namespace")
    r.keep(api.put(one, created), "data")
    r.keep(api.put(one, {**created, "data": {"b": "2"}}), "data")
    r.keep(api.put(one, {**created, "data": {"c": "2"}}))
    r.keep(api.put(one, created))
    r.keep(api.put(one, config_map(d="4")), "data")
    r.keep(api.put(one, config_map("other")))
    r.keep(api.delete(one), message=False)
    r.keep(api.delete(one))


@script
def names_and_namespaces(r: Recorder) -> None:
    api, maps = r.connection, r.path("configmaps")
    r.keep(api.post(maps, config_map("Bad_Name")), message=False)
    r.keep(api.post(maps, config_map("")), message=False)
    missing = "/api/v1/namespaces/missing-one/configmaps"
    r.keep(api.post(missing, config_map()))
    r.keep(api.get(missing + "/one"))
    labelled = config_map()
    labelled["metadata"]["labels"] = {"a b": "x y"}
    r.keep(api.post(maps, labelled), message=False)
    elsewhere = config_map()
    elsewhere["metadata"]["namespace"] = "default"
    r.keep(api.post(maps, elsewhere))
    generated = config_map()
    generated["metadata"] = {"generateName": "gen-"}
    answer = api.post(maps, generated)
    assert re.fullmatch(r"gen-[a-z0-9]{5}", answer.body["metadata"]["name"])
    stated = config_map()
    stated["metadata"]["resourceVersion"] = "1"
    r.keep(api.post(maps, stated))
    r.keep(api.post(maps, {**config_map(), "kind": "Secret"}), message=False)
    r.keep(api.post(maps, b"{"), message=False)
    r.keep(api.get("/apis/nothing.example/v1/things"), message=False)
    r.keep(api.request("PATCH", maps, {}), message=False)


@script
def patches_of_builtins(r: Recorder) -> None:
    api, one = r.connection, r.path("deployments", "one")
    r.keep(api.post(r.path("deployments"), deployment()), "spec.strategy", "spec.replicas")
    r.keep(api.patch(one, {"spec": {"replicas": 3}}), "spec.replicas")
    r.keep(api.patch(one, {"spec": {"replicas": 3}}), "spec.replicas")
    r.keep(api.patch(one, {"metadata": {"labels": {"x": "y"}}}), "metadata.labels")
    r.keep(api.patch(one, {"metadata": {"labels": {"x": None}}}), "metadata.labels")
    containers = [{"name": "c", "env": [{"name": "B", "value": "2"}]}]
    patch: dict[str, Any] = {"spec": {"template": {"spec": {"containers": containers}}}}
    r.keep(api.patch(one, patch, STRATEGIC_PATCH), "spec.template.spec.containers")
    containers[0]["env"] = [{"name": "A", "$patch": "delete"}]  # type: ignore[typeddict-item]
    r.keep(api.patch(one, patch, STRATEGIC_PATCH), "spec.template.spec.containers")
    patch = {"spec": {"template": {"spec": {"$retainKeys": ["containers"]}}}}
    strategy = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    r.keep(api.patch(one, strategy, STRATEGIC_PATCH), "spec.strategy")
    stale = {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 3}}
    r.keep(api.patch(one, stale))
    r.keep(api.patch(one, {"spec": {"replicas": "many"}}), message=False)
    r.keep(api.patch(one, {"spec": {"replicas": -1}}))
    r.keep(api.patch(one, {"spec": {"selector": {"matchLabels": {"app": "two"}}}}), message=False)
    r.keep(api.patch(one, {"spec": {"unknown": 1}}), "spec.unknown")
    r.keep(api.patch(one, {"metadata": {"name": "two"}}))
    r.keep(api.patch(one, b"[]"), message=False)
    r.keep(api.patch(one, {"a": 1}, "application/x-unknown"), message=False)
    ignored = api.patch(one, {"status": {"replicas": 9}})  # 1.20 changes managedFields
    assert ignored.body["status"].get("replicas") is None


@script
def json_patches(r: Recorder) -> None:
    api, one = r.connection, r.path("configmaps", "one")
    r.keep(api.post(r.path("configmaps"), config_map(a="1")))

    def patch(*operations: Any) -> Answer:
        return api.patch(one, list(operations), JSON_PATCH)

    add = {"op": "add", "path": "/data/b", "value": "2"}
    r.keep(patch({"op": "test", "path": "/data/a", "value": "1"}, add), "data")
    r.keep(patch({"op": "test", "path": "/data/a", "value": "9"}, add), message=False)
    r.keep(patch({"op": "test", "path": "/metadata/resourceVersion", "value": "1"}), message=False)
    r.keep(patch({"op": "remove", "path": "/data/zzz"}), message=False)
    r.keep(patch({"op": "remove", "path": "/data/b"}), "data")
    r.keep(patch({"op": "replace", "path": "/data", "value": {"x": "y"}}), "data")
    r.keep(patch({"op": "copy", "from": "/data/x", "path": "/data/z"}), "data")
    r.keep(patch({"op": "move", "from": "/data/x", "path": "/data/w"}), "data")
    r.keep(patch({"op": "add", "path": "/metadata/finalizers", "value": ["a.b/c"]}),
           "metadata.finalizers")  # fmt: skip
    r.keep(patch({"op": "add", "path": "/metadata/finalizers/-", "value": "a.b/d"}),
           "metadata.finalizers")  # fmt: skip
    r.keep(patch({"op": "remove", "path": "/metadata/finalizers"}), "metadata.finalizers")
    r.keep(patch({"op": "add", "path": "/metadata/labels/a", "value": "b"}), message=False)
    r.keep(api.patch(r.path("configmaps", "none"), [], JSON_PATCH))


@script
def custom_resources(r: Recorder) -> None:
    api, widgets, one = r.connection, r.path("widgets"), r.path("widgets", "one")
    r.keep(api.post(widgets, {**widget(junk=1, free={"a": [1]}), "more": 1}), "spec", "more")
    r.keep(api.get(one), "spec", "metadata.namespace")
    r.keep(api.patch(one, {"spec": {"size": 4}}), "spec.size")
    r.keep(api.patch(one, {"spec": {"size": 4, "nothing": 1}}), "spec")
    r.keep(api.patch(one, {"spec": {"color": None, "steps": [{"weight": 5}]}}), "spec")
    r.keep(api.patch(one, {"spec": {"free": {"b": None, "c": {"d": 1}}}}), "spec.free")
    r.keep(api.patch(one, {"a": 1}, STRATEGIC_PATCH), message=False)
    live = r.keep(api.get(one))
    without = {**live, "metadata": {"name": "one"}}
    r.keep(api.put(one, without))
    r.keep(api.put(one, {**live, "spec": {"size": 9}}), "spec")
    r.keep(api.put(one, {**live, "spec": {"size": 10}}))
    r.keep(api.post(widgets, {**widget("two"), "apiVersion": "test.serinus.dev/v2"}),
           message=False)  # fmt: skip
    r.keep(api.delete(one), message=False)


@script
def schema_violations(r: Recorder) -> None:
    api, widgets = r.connection, r.path("widgets")
    r.keep(api.post(widgets, widget(size=0)))
    r.keep(api.post(widgets, widget(size=120)))
    r.keep(api.post(widgets, widget(size="big")))
    r.keep(api.post(widgets, widget(color="Blue")))
    r.keep(api.post(widgets, widget(name="UPPER")))
    r.keep(api.post(widgets, widget(name="toolongforthis")), message=False)
    gadget = {"apiVersion": "test.serinus.dev/v1", "kind": "Gadget", "metadata": {"name": "one"}}
    gadgets = r.path("gadgets")
    r.keep(api.post(gadgets, {**gadget, "spec": {"port": 1.5}}), message=False)
    r.keep(api.post(gadgets, {**gadget, "spec": {"port": "http"}}), "spec.port")
    r.keep(api.post(widgets, widget("three", labels={"a": 1})), message=False)
    r.keep(api.post(widgets, widget(since="yesterday")), message=False)
    r.keep(api.post(widgets, widget("two", since="2020-01-01T00:00:00Z")), "spec.since")
    r.keep(api.post(widgets, widget(steps=[{}] * 6)), message=False)
    r.keep(api.post(widgets, widget(tags=["a", "a"])))
    r.keep(api.post(widgets, widget(parts=[{"name": "a"}, {"name": "a"}])), message=False)
    r.keep(api.post(widgets, widget(parts=[{"value": "a"}])), message=False)
    broken = widget()
    del broken["spec"]["size"]
    r.keep(api.post(widgets, broken))
    del broken["spec"]
    r.keep(api.post(widgets, broken))
    r.keep(api.post(widgets, {"metadata": {"name": "x"}}), message=False)


@script
def status_subresource(r: Recorder) -> None:
    api, one, status = r.connection, r.path("widgets", "one"), r.path("widgets", "one", "status")
    r.keep(api.post(r.path("widgets"), {**widget(), "status": {"phase": "A"}}), "status")
    r.keep(api.patch(one, {"status": {"phase": "B"}}), "status")
    r.keep(api.patch(status, {"status": {"phase": "C"}, "spec": {"size": 50}}), "status", "spec")
    r.keep(api.patch(status, {"status": {"phase": "C"}}), "status")
    live = r.keep(api.get(status), "status")
    r.keep(api.put(status, {**live, "status": {"phase": "D"}}), "status")
    r.keep(api.put(status, {**live, "status": {"phase": "E"}}))
    r.keep(api.patch(status, {"status": {"conditions": [{"type": "Ready"}]}}), message=False)
    r.keep(api.post(status, live))
    r.keep(api.delete(status))
    r.keep(api.get(r.path("configmaps", "one", "status")), message=False)
    r.keep(api.post(r.path("deployments"), deployment("two")))
    two = r.path("deployments", "two", "status")
    r.keep(api.patch(two, {"status": {"replicas": 2}}), "status.replicas")


@script
def scale_subresource(r: Recorder) -> None:
    api = r.connection
    r.keep(api.post(r.path("widgets"), widget()))
    r.keep(api.post(r.path("deployments"), deployment(paused=True)))
    for plural in ("widgets", "deployments"):
        scale = r.path(plural, "one", "scale")
        live = r.keep(api.get(scale), "kind", "apiVersion", "spec")
        r.keep(api.patch(scale, {"spec": {"replicas": 5}}), "spec")
        r.keep(api.get(r.path(plural, "one")), "spec.replicas")
        live["spec"]["replicas"] = 6
        r.keep(api.put(scale, live))
        del live["metadata"]["resourceVersion"]
        r.keep(api.put(scale, live), "spec")
    r.keep(api.patch(r.path("deployments", "one", "scale"), {"spec": {"replicas": -1}}))


@script
def finalizers(r: Recorder) -> None:
    api, one = r.connection, r.path("widgets", "one")
    held = widget()
    held["metadata"]["finalizers"] = ["test.serinus.dev/hold"]
    r.keep(api.post(r.path("widgets"), held), "metadata.finalizers")
    r.keep(api.delete(one), "metadata.deletionGracePeriodSeconds", "metadata.finalizers")
    r.keep(api.delete(one), "metadata.deletionGracePeriodSeconds")
    r.keep(api.patch(one, {"metadata": {"finalizers": ["test.serinus.dev/hold", "a.b/c"]}}),
           message=False)  # fmt: skip
    r.keep(api.patch(one, {"spec": {"size": 5}}), "spec.size")
    r.keep(api.patch(one, {"metadata": {"finalizers": None}}), "metadata.finalizers")
    r.keep(api.get(one))


@script
def delete_options(r: Recorder) -> None:
    api, maps, one = r.connection, r.path("configmaps"), r.path("configmaps", "one")
    live = r.keep(api.post(maps, config_map()))
    r.keep(api.delete(one, {"preconditions": {"uid": "other"}}))
    r.keep(api.delete(one, {"preconditions": {"resourceVersion": "1"}}), message=False)
    r.keep(api.delete(one, {"propagationPolicy": "Sideways"}))
    r.keep(api.delete(one, {"preconditions": {"uid": live["metadata"]["uid"]}}))
    r.keep(api.post(maps, config_map()))
    r.keep(api.delete(one, dryRun="All"))
    r.keep(api.get(one))
    r.keep(api.request("DELETE", maps, labelSelector="a=b"), "kind")
    r.keep(api.get(one))


@script
def apply_and_conflicts(r: Recorder) -> None:
    api, one = r.connection, r.path("widgets", "one")
    parts = [{"name": "a", "value": "1"}, {"name": "b"}]
    r.keep(api.apply(one, widget(parts=parts, tags=["x"])), "spec")
    r.keep(api.apply(one, widget(parts=parts, tags=["x"])), "spec")
    r.keep(api.apply(one, widget(size=4), "other"))
    r.keep(api.apply(one, widget(size=4, color="Green"), "other"))
    r.keep(api.apply(one, widget(size=4), "other", force="true"), "spec.size")
    r.keep(api.apply(one, widget(size=4, parts=[{"name": "c"}], tags=["y"]), "other"), "spec")
    mine = widget(parts=[{"name": "a"}], tags=["z"])
    del mine["spec"]["size"]
    r.keep(api.apply(one, mine), "spec")
    theirs = widget(tags=["y"])  # without any, 1.20 leaves null in the object
    del theirs["spec"]["size"]
    r.keep(api.apply(one, theirs, "other"), message=False)
    r.keep(api.patch(one, {"spec": {"size": 8}}), "spec.size")
    r.keep(api.apply(one, widget(size=9), "other"), message=False)
    r.keep(api.apply(one, widget(size=8), "third"), "spec")
    stale = widget(size=8)
    stale["metadata"]["resourceVersion"] = "1"
    r.keep(api.apply(one, stale, "third"))
    managed = widget()
    managed["metadata"]["managedFields"] = [{"manager": "x"}]
    r.keep(api.apply(one, managed), message=False)
    r.keep(api.patch(one, widget(), APPLY_PATCH), message=False)


@script
def apply_builtins(r: Recorder) -> None:
    api, one = r.connection, r.path("deployments", "one")
    r.keep(api.apply(one, deployment(paused=True)), "spec.replicas", "spec.strategy")
    two_variables = deployment(paused=True)
    container = two_variables["spec"]["template"]["spec"]["containers"][0]
    container["env"].append({"name": "B", "value": "2"})
    container["ports"] = [{"containerPort": 80}]
    shown = "spec.template.spec.containers"
    r.keep(api.apply(one, two_variables), shown)
    container["env"].pop(0)
    r.keep(api.apply(one, two_variables), shown)
    replicas = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "one"},
                "spec": {"replicas": 7}}  # fmt: skip
    r.keep(api.apply(one, replicas, "scaler"))
    r.keep(api.apply(one, replicas, "scaler", force="true"), "spec.replicas")
    del two_variables["spec"]["replicas"]
    r.keep(api.apply(one, two_variables), "spec.replicas")
    labels = {"apiVersion": "apps/v1", "kind": "Deployment",
              "metadata": {"name": "one", "labels": {"a": "b"}}}  # fmt: skip
    r.keep(api.apply(one, labels, "labeller"), "metadata.labels")
    labels["metadata"] = {"name": "one", "labels": {"c": "d"}}
    r.keep(api.apply(one, labels, "labeller"), "metadata.labels")
    labels["metadata"] = {"name": "one"}
    r.keep(api.apply(one, labels, "labeller"), "metadata.labels")


@script
def apply_status(r: Recorder) -> None:
    api, one, status = r.connection, r.path("widgets", "one"), r.path("widgets", "one", "status")
    r.keep(api.apply(status, {**widget(), "status": {"phase": "A"}}), message=False)
    r.keep(api.post(r.path("widgets"), widget()))
    ready = {"type": "Ready", "status": "True"}
    given: dict[str, Any] = {"apiVersion": "test.serinus.dev/v1", "kind": "Widget",
             "metadata": {"name": "one"}, "status": {"phase": "A", "conditions": [ready]}}  # fmt: skip
    r.keep(api.apply(status, given), "status", "spec")
    r.keep(api.apply(status, given), "status")
    given["status"] = {"conditions": [{"type": "Other", "status": "True"}]}
    r.keep(api.apply(status, given, "other"), "status")
    given["status"] = {"conditions": [{"type": "Ready", "status": "False"}]}
    r.keep(api.apply(status, given, "other"), message=False)
    r.keep(api.apply(status, given), "status")
    r.keep(api.get(one), "status")


@script
def managed_fields(r: Recorder) -> None:
    api, one, shown = r.connection, r.path("widgets", "one"), "metadata.managedFields"

    def keep(answer: Answer) -> None:
        body = r.keep(answer)
        entries = (body.get("metadata") or {}).get("managedFields") or []
        kept = ("manager", "operation", "apiVersion", "fieldsV1")  # 1.20 has no subresource
        found = [{name: entry.get(name) for name in kept} for entry in entries]
        found.sort(key=lambda entry: (entry["operation"], entry["manager"], str(entry)))
        r.outcomes[-1][shown] = found

    keep(api.post(r.path("widgets"), widget(labels={"a": "b"}), fieldManager="creator"))
    keep(api.patch(one, {"spec": {"steps": [{"weight": 1}]}}, fieldManager="patcher"))
    keep(api.apply(one, widget(tags=["t"], parts=[{"name": "a", "value": "1"}])))
    keep(api.patch(one, {"metadata": {"labels": {"l": "v"}}}, fieldManager="patcher"))
    keep(api.patch(one, {"spec": {"size": 7}}, fieldManager="patcher"))
    keep(api.patch(one, {"spec": {"labels": None}}, fieldManager="patcher"))
    keep(api.patch(one, {"spec": {"free": {"x": [1]}}}, fieldManager="patcher"))
    keep(api.patch(one, {"spec": {"size": 7}}, fieldManager="nobody"))
    keep(api.apply(one, widget(size=7, tags=["u"], parts=[{"name": "a"}])))
    status = r.path("widgets", "one", "status")
    keep(api.patch(status, {"status": {"phase": "P"}}, fieldManager="status"))
    keep(api.patch(one, [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}],
                   JSON_PATCH))  # fmt: skip


@script
def selectors(r: Recorder) -> None:
    api, maps = r.connection, r.path("configmaps")
    for name, labels in (("a", {"x": "1"}), ("b", {"x": "2"}), ("c", {"y": ""})):
        body = config_map(name)
        body["metadata"]["labels"] = labels
        r.keep(api.post(maps, body))

    def names(**query: str) -> None:
        answer = api.get(maps, **query)
        items = answer.body.get("items", [])
        found = [i["metadata"]["name"] for i in items if i["metadata"]["name"] in "abc"]
        r.outcomes.append({"query": query, "code": answer.code, "names": found})

    for selector in ("x=1", "x==1", "x!=1", "x", "!x", "x in (1,2)", "x notin (1)", "x=1,y", "y=",
                     "x in (", "x in (1,2),x!=2"):  # fmt: skip
        names(labelSelector=selector)
    for selector in ("metadata.name=a", "metadata.name!=a", "metadata.namespace=none",
                     "spec.nothing=1"):  # fmt: skip
        names(fieldSelector=selector)


@script
def watches(r: Recorder) -> None:
    api, maps = r.connection, r.path("configmaps")
    start = api.get(maps).body["metadata"]["resourceVersion"]
    body = config_map("w", a="1")
    body["metadata"]["labels"] = {"on": "yes"}
    api.post(maps, body)
    one = r.path("configmaps", "w")
    api.patch(one, {"data": {"a": "2"}})
    api.patch(one, {"metadata": {"labels": {"on": "no"}}})
    api.patch(one, {"data": {"a": "3"}})
    api.patch(one, {"metadata": {"labels": {"on": "yes"}}})
    api.delete(one)

    def events(**query: Any) -> None:
        found = []
        for event in api.watch(maps, seconds=2, **query):
            obj = event["object"]
            if event["type"] == "BOOKMARK" or obj.get("metadata", {}).get("name") != "w":
                continue
            found.append([event["type"], (obj.get("data") or {}).get("a"),
                          (obj["metadata"].get("labels") or {}).get("on")])  # fmt: skip
            if event["type"] == "DELETED" and found[-1][1] == "3":
                break
        r.outcomes.append({"query": sorted(set(query) - {"resourceVersion"}), "events": found})

    events(resourceVersion=start)
    events(resourceVersion=start, labelSelector="on=yes")
    events(resourceVersion=start, fieldSelector="metadata.name=w")
    events(resourceVersion=start, fieldSelector="metadata.name=other")


@script
def leases_need_a_version(r: Recorder) -> None:
    api, one = r.connection, r.path("leases", "one")
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "one"},
             "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15}}  # fmt: skip
    created = r.keep(api.post(r.path("leases"), lease), "spec")
    r.keep(api.put(one, lease))
    r.keep(api.put(one, created), "spec")
    r.keep(api.put(one, {**created, "spec": {"holderIdentity": "b"}}), "spec")
    r.keep(api.put(one, {**created, "spec": {"holderIdentity": "c"}}))


@script
def pods(r: Recorder) -> None:
    api, one = r.connection, r.path("pods", "one")
    pod: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"},
           "spec": {"containers": [{"name": "c", "image": "i"}],
                    "automountServiceAccountToken": False}}  # fmt: skip
    r.keep(api.post(r.path("pods"), {**pod, "spec": {**pod["spec"], "containers": []}}))
    r.keep(api.post(r.path("pods"), pod), "spec.restartPolicy", "spec.dnsPolicy", "status.phase")
    bind = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "one"},
            "target": {"apiVersion": "v1", "kind": "Node", "name": "n"}}  # fmt: skip
    r.keep(api.post(r.path("pods", "one", "binding"), bind))
    r.keep(api.get(one), "spec.nodeName")
    r.keep(api.delete(one, gracePeriodSeconds=5), "metadata.deletionGracePeriodSeconds")
    r.keep(api.delete(one, gracePeriodSeconds=1), "metadata.deletionGracePeriodSeconds")
    r.keep(api.delete(one, gracePeriodSeconds=0), "metadata.deletionGracePeriodSeconds")
    r.keep(api.get(one))


@script
def dry_run(r: Recorder) -> None:
    api, one = r.connection, r.path("widgets", "one")
    r.keep(api.post(r.path("widgets"), widget(), dryRun="All"), "spec")
    r.keep(api.get(one))
    r.keep(api.post(r.path("widgets"), widget()))
    r.keep(api.patch(one, {"spec": {"size": 9}}, dryRun="All"), "spec.size")
    r.keep(api.get(one), "spec.size")
    r.keep(api.patch(one, {"spec": {"size": 9}}, dryRun="Some"), message=False)


@script
def merge_patch_content_type(r: Recorder) -> None:
    api, one = r.connection, r.path("configmaps", "one")
    r.keep(api.post(r.path("configmaps"), config_map(a="1")))
    r.keep(api.patch(one, {"data": {"b": "2"}}, MERGE_PATCH), "data")
    r.keep(api.patch(one, {"data": {"a": None}}, STRATEGIC_PATCH), "data")
    r.keep(api.patch(one, {"data": None}, MERGE_PATCH), "data")


@script
def propagation_policies(r: Recorder) -> None:
    api = r.connection
    shown = ("metadata.finalizers", "metadata.deletionGracePeriodSeconds")
    for name, policy in (("a", "Foreground"), ("b", "Orphan"), ("c", "Background")):
        r.keep(api.post(r.path("configmaps"), config_map(name)))
        one = r.path("configmaps", name)
        r.keep(api.delete(one, {"propagationPolicy": policy}), *shown)
        r.keep(api.delete(one, {"propagationPolicy": "Background"}), *shown)
        r.keep(api.patch(one, {"metadata": {"finalizers": None}}), *shown)
        r.keep(api.get(one), *shown)


@script
def defaults_of_builtins(r: Recorder) -> None:
    api = r.connection
    body = deployment(paused=True)
    container = body["spec"]["template"]["spec"]["containers"][0]
    container["ports"] = [{"containerPort": 80, "name": "http"}]
    container["readinessProbe"] = {"httpGet": {"port": "http"}}
    body["spec"]["template"]["spec"]["volumes"] = [
        {"name": "v", "configMap": {"name": "x"}},
        {"name": "w", "emptyDir": {}},
    ]
    r.keep(api.post(r.path("deployments"), body), "spec")
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
               "spec": {"clusterIP": "None", "ports": [{"port": 80}, {"name": "b", "port": 81}]}}  # fmt: skip
    r.keep(api.post(r.path("services"), service), message=False)
    service["spec"]["ports"][0]["name"] = "a"  # type: ignore[index]
    shown = ("spec.ports", "spec.type", "spec.sessionAffinity", "spec.clusterIP", "status")
    r.keep(api.post(r.path("services"), service), *shown)
    secret = {"metadata": {"name": "s"}, "stringData": {"a": "b"}}
    r.keep(api.post(r.path("secrets"), secret), "data", "type", "stringData")
    binding = {"metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "x"},
               "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s",
                                                           "namespace": "default"}]}  # fmt: skip
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{r.namespace}/rolebindings"
    r.keep(api.post(path, binding), "roleRef", "subjects")
    changed = {"roleRef": {"name": "y"}}
    r.keep(api.patch(f"{path}/b", changed), message=False)


@script
def access(r: Recorder) -> None:
    headers = {"Impersonate-User": "bob"}

    def ask(method: str, path: str, body: Any = None) -> None:
        r.keep(r.connection.request(method, path, body, headers=headers), "status.allowed")

    def review(**attributes: str) -> None:
        attributes.setdefault("namespace", r.namespace)
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": attributes}}  # fmt: skip
        ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)

    maps = r.path("configmaps")
    ask("GET", maps)
    ask("GET", f"{maps}/one")
    ask("POST", maps, config_map())
    ask("GET", "/api/v1/nodes")
    ask("GET", "/metrics")
    ask("GET", r.path("pods", "p", "log"))
    review(verb="list", resource="configmaps")
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{r.namespace}"
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "create", "patch"]}]
    r.keep(r.connection.post(f"{rbac}/roles", {"metadata": {"name": "r"}, "rules": rules}))
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}
    bound = {"metadata": {"name": "r"}, "roleRef": reference, "subjects": [subject]}
    r.keep(r.connection.post(f"{rbac}/rolebindings", bound))
    ask("POST", maps, config_map())
    ask("GET", f"{maps}/one")
    ask("DELETE", maps)
    review(verb="list", resource="configmaps")
    review(verb="get", resource="configmaps")
    review(verb="list", resource="configmaps", namespace="default")
    review(verb="list", resource="deployments", group="apps")


@script
def discovery(r: Recorder) -> None:
    wanted = {"configmaps", "pods", "pods/status", "deployments", "deployments/scale", "widgets",
              "widgets/status", "widgets/scale", "customresourcedefinitions", "namespaces"}  # fmt: skip
    for path in (
        "/api/v1",
        "/apis/apps/v1",
        "/apis/test.serinus.dev/v1",
        "/apis/apiextensions.k8s.io/v1",
    ):
        body = r.connection.get(path).body
        for entry in sorted(body["resources"], key=lambda entry: str(entry["name"])):
            if entry["name"] in wanted:
                kept = (
                    "name",
                    "kind",
                    "namespaced",
                    "shortNames",
                    "categories",
                    "group",
                    "version",
                )
                found = {name: entry.get(name) for name in kept}
                found["verbs"] = sorted(entry["verbs"])
                r.outcomes.append({"groupVersion": body["groupVersion"], **found})
    groups = r.connection.get("/apis").body["groups"]
    r.outcomes += [group for group in groups if group["name"] in ("apps", "test.serinus.dev")]
    r.outcomes.append(r.connection.get("/apis/test.serinus.dev").body)


@script
def tables(r: Recorder) -> None:
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
    api = r.connection
    api.post(r.path("configmaps"), config_map("one", a="1"))
    api.post(r.path("deployments"), deployment(paused=True))
    api.post(r.path("widgets"), widget(color="Green"))
    api.post(r.path("secrets"), {"metadata": {"name": "one"}, "type": "x/y", "data": {"a": ""}})
    pod = {"metadata": {"name": "one"},
           "spec": {"automountServiceAccountToken": False,
                    "containers": [{"name": "c", "image": "i"}]}}  # fmt: skip
    api.post(r.path("pods"), pod)
    service = {"metadata": {"name": "one"}, "spec": {"clusterIP": "None", "selector": {"a": "b"},
               "ports": [{"port": 80}]}}  # fmt: skip
    api.post(r.path("services"), service)
    for plural in ("configmaps", "deployments", "pods", "secrets", "services", "widgets"):
        body = api.request("GET", r.path(plural, "one"), headers=accept).body
        types = {"Restarts": "string"}  # an integer before 1.22
        columns = [
            (c["name"], types.get(c["name"], c["type"]), c["priority"])
            for c in body["columnDefinitions"]
        ]
        (row,) = body["rows"]
        ages = {index for index, column in enumerate(columns) if column[0] == "Age"}
        cells = [str(cell) for index, cell in enumerate(row["cells"]) if index not in ages]
        kind = row["object"]["kind"]
        r.outcomes.append({"plural": plural, "columns": columns, "cells": cells, "object": kind})
