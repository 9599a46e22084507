from __future__ import annotations

import pytest

from serinus.sandbox.apiserver.errors import ApiError
from serinus.sandbox.apiserver.selectors import (
    object_filter,
    parse_field_selector,
    parse_label_selector,
)


@pytest.mark.parametrize(
    ("selector", "labels", "want"),
    [
        ("a=b", {"a": "b"}, True),
        ("a==b,c", {"a": "b"}, False),
        ("a!=b", {}, True),
        ("!a", {"a": ""}, False),
        ("a in (b, c),d notin (e)", {"a": "c"}, True),
        ("a=", {"a": ""}, True),
        ("", {}, True),
        ("x.y/z=1-2_3", {"x.y/z": "1-2_3"}, True),
    ],
)
def test_label_selectors(selector: str, labels: dict[str, str], want: bool) -> None:
    keep = object_filter(parse_label_selector(selector), ())
    assert keep({"metadata": {"labels": labels}}) is want


@pytest.mark.parametrize("selector", ["a in (", "a in b", "=b", "a=b=c", "a b"])
def test_a_broken_label_selector_is_a_bad_request(selector: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_label_selector(selector)
    assert refused.value.code == 400


def test_field_selectors_treat_absent_as_empty() -> None:
    supported = frozenset({"spec.nodeName", "metadata.name"})
    unbound = object_filter((), parse_field_selector("spec.nodeName=,metadata.name!=x", supported))
    assert unbound({"metadata": {"name": "a"}, "spec": {}})
    assert not unbound({"metadata": {"name": "a"}, "spec": {"nodeName": "n"}})
    assert not unbound({"metadata": {"name": "x"}, "spec": {}})


def test_an_unsupported_field_is_a_bad_request() -> None:
    with pytest.raises(ApiError, match="field label not supported"):
        parse_field_selector("spec.x=1", frozenset())
