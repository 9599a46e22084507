"""The kinds of object that a reconcile reads and writes."""

from __future__ import annotations

from serinus.api import names
from serinus.ports import Kind

MODEL_DEPLOYMENT = Kind(names.GROUP, names.VERSION, names.KIND, names.PLURAL)
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
SERVICE = Kind("", "v1", "Service", "services")
POD = Kind("", "v1", "Pod", "pods")
EVENT = Kind("", "v1", "Event", "events")
ENDPOINT_SLICE = Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
HTTP_ROUTE = Kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")
