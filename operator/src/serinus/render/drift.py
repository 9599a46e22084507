"""Whether others changed a Deployment of ours, and the change that sets it right.

The API server fills in defaults and writes quantities its own way, and people may restart pods by an
annotation of the template. What changes which code runs, or how, is somebody else's change.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from serinus.api import names
from serinus.render.stamp import annotation, stamped_template
from serinus.render.subset import covers

# The API server never puts these into a template by itself.
_NO_DEFAULTS = frozenset(
    {
        "initContainers", "ephemeralContainers", "volumes", "serviceAccountName", "serviceAccount",
        "hostNetwork", "hostPID", "hostIPC", "hostAliases", "shareProcessNamespace", "runtimeClassName",
        "command", "args", "workingDir", "env", "envFrom", "volumeMounts", "volumeDevices", "lifecycle",
    }
)  # fmt: skip
_QUANTITIES = frozenset({"requests", "limits"})
_UNITS = {
    "m": Decimal("0.001"), "": Decimal(1),
    **{unit: Decimal(1000) ** (i + 1) for i, unit in enumerate("kMGTPE")},
    **{f"{unit}i": Decimal(1024) ** (i + 1) for i, unit in enumerate("KMGTPE")},
}  # fmt: skip


def resized(live: Mapping[str, Any]) -> bool:
    """Whether the Deployment has another size than the one that we gave it; unknown is not."""
    told = annotation(live, names.ANNOTATION_REPLICAS)
    return bool(told) and told != str(live["spec"].get("replicas", 1))


def retemplated(live: Mapping[str, Any]) -> bool:
    """Whether its pods' template is another than the one that we gave it; unknown is not."""
    wanted = stamped_template(live)
    return wanted is not None and not _follows(live["spec"].get("template") or {}, wanted)


def mend_template(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch that gives a live template what it was admitted with.

    A merge patch replaces lists as a whole. Server-side apply would leave what others added to them.
    """
    spec, given = live.get("spec") or {}, wanted["spec"]
    foreign = {key: None for key in spec if key in _NO_DEFAULTS and key not in given}
    return {**wanted, "spec": {**given, **foreign}}


def _follows(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return covers(live.get("metadata") or {}, wanted.get("metadata") or {}) and _same(
        live.get("spec") or {}, wanted["spec"]
    )


def _same(live: Any, wanted: Any, key: str = "") -> bool:
    """Like ``covers``, but for what an API server does to a pod's spec, and for what it never does.

    Both are JSON. Most parts are equal, which is quickly found.
    """
    if live == wanted:
        return True
    if isinstance(wanted, dict) and isinstance(live, dict):
        if key in _QUANTITIES:
            return _amounts(live) == _amounts(wanted)
        if any(live[name] for name in _NO_DEFAULTS.intersection(live) if name not in wanted):
            return False
        return all(
            _same(live[name], value, name) if name in live else _is_empty(value)
            for name, value in wanted.items()
        )
    if isinstance(wanted, list) and isinstance(live, list):
        return len(live) == len(wanted) and all(map(_same, live, wanted))
    return False


def _is_empty(value: Any) -> bool:
    """The API server leaves out empty texts, maps and lists; false and 0 it keeps where they mean something."""
    return value is None or value in ("", [], {})


def _amounts(quantities: Mapping[str, Any]) -> dict[str, Decimal | str]:
    return {str(name): _amount(value) for name, value in quantities.items()}


def _amount(value: Any) -> Decimal | str:
    """``1000m`` and ``1`` are the same amount; what is no quantity is compared as it is."""
    text = str(value)
    number = text.rstrip("mkKMGTPEi")
    try:
        return Decimal(number) * _UNITS[text[len(number) :]]
    except (InvalidOperation, KeyError):
        return text
