"""A Kubernetes API server over an in-memory store, generic over kinds.

It exists so that the operator, kubectl, Prometheus and the sandbox's own controllers run on a
laptop without a cluster, through the same REST API. Fidelity is the point: an operation that is
not implemented is an error, never a 200 with the object unchanged.
"""
