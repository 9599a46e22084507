"""Every name that other programs see: group, labels, annotations, names of children."""

from __future__ import annotations

GROUP = "serinus.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "ModelDeployment"
PLURAL = "modeldeployments"
SINGULAR = "modeldeployment"
SHORT_NAMES = ("mdep",)
CATEGORIES = ("all", "ml")

FIELD_MANAGER = "serinus"

LABEL_NAME = f"{GROUP}/name"  # the ModelDeployment's name
LABEL_REVISION = f"{GROUP}/revision"  # short revision: the 8 characters in the children's names
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "serinus"

# Pods ask to be scraped the way most Prometheus configurations look for it.
ANNOTATION_SCRAPE = "prometheus.io/scrape"
ANNOTATION_SCRAPE_PORT = "prometheus.io/port"
ANNOTATION_SCRAPE_PATH = "prometheus.io/path"

# What people ask for. The value is the revision that is meant, short or whole.
ANNOTATION_ABORT = f"{GROUP}/abort"
ANNOTATION_PROMOTE = (
    f"{GROUP}/promote"  # "<revision>", or "<revision>/full" for 100 percent at once
)
ANNOTATION_PAUSE = f"{GROUP}/pause"  # as long as it is there

# What we write on our own objects to know them again.
ANNOTATION_FENCE = f"{GROUP}/fence"  # route: the commit that its weights come from
ANNOTATION_WRITTEN = f"{GROUP}/written"  # route: hash of the spec as we wrote it
ANNOTATION_REPLICAS = f"{GROUP}/replicas"  # Deployment: the size that we gave it
ANNOTATION_TEMPLATE = f"{GROUP}/template"  # Deployment: the pod template as we applied it
ANNOTATION_ADMITTED = f"{GROUP}/admitted"  # Deployment: when its revision was last taken in

DEFAULT_SERVER_IMAGE = "ghcr.io/serinus-dev/serinus-server"
MAX_NAME_LENGTH = 50  # room for "-<hash8>" in names of Services (63)
NAME_PATTERN = (
    "^[a-z]([-a-z0-9]*[a-z0-9])?$"  # of Services (DNS-1035): stricter than the object's own
)
NAME_RULE = (
    f"metadata.name must begin with a letter and have at most {MAX_NAME_LENGTH} letters, digits and -: "
    "names of Services are made of it"
)


def child_name(name: str, short_revision: str) -> str:
    """Name of the Deployment and of the Service of one revision, for example churn-1a2b3c4d."""
    return f"{name}-{short_revision}"


def route_name(name: str) -> str:
    """Name of the HTTPRoute of a ModelDeployment."""
    return name


def owner_labels(name: str) -> dict[str, str]:
    """Labels on every object that belongs to the ModelDeployment ``name``."""
    return {LABEL_MANAGED_BY: MANAGED_BY, LABEL_NAME: name}


def revision_labels(name: str, short_revision: str) -> dict[str, str]:
    """Labels on every object that belongs to one revision; also its immutable selector."""
    return {**owner_labels(name), LABEL_REVISION: short_revision}
