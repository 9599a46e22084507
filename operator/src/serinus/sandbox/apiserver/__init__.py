"""A Kubernetes API server over an in-memory store, generic over kinds.

It exists so that the operator, kubectl, Prometheus and the sandbox's own controllers run on a
laptop without a cluster, through the same REST API. Fidelity is the point: an operation that is
not implemented is an error, never a 200 with the object unchanged, and the answers are compared
with those of a real server (tests/integration/apiserver).

A request goes through ``server`` (who, may they, which route), ``handlers`` or ``subresources``
(one per verb), ``verbs`` (what the verb does, with ``decoding``, ``admission``, ``apply`` and
``deletion``) and ``store`` (revisions, history, watchers). ``resources`` is the table of kinds.

What a real server does and this one does not: protobuf bodies (kubectl sends them for ``create
TYPE``, ``create token``, ``auth can-i`` and ``auth whoami``; ``create -f`` and ``apply`` send
JSON), chunked lists (a list is always whole), streaming lists, webhooks, conversion between
versions other than "None", cluster IPs of Services, the ServiceAccount admission of pods,
ratcheting of schema errors (rules are ratcheted), compiling CEL rules before they are first used,
checks against escalation in RBAC, exec, attach, port-forward, eviction, and keeping anything after
it stops.
"""
