"""The checker's own model of the store, rebuilt from what was committed.

Nothing in here trusts the operator: an object is what the API server held after each write, whoever
wrote it, and a fact about the rollout is dated by the event that made it so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from . import views
from .clock import Availability
from .evidence import Answer
from .spec import read_spec
from .subject import Subject, book, follow_commands, follow_route, follow_status, release
from .views import Object, short

MODEL_DEPLOYMENTS = "modeldeployments"
ROUTES = "httproutes"
READS = {"get", "list"}
UNOWNED = {"events", "leases"}
MARGIN = 0.002  # seconds; the status has milliseconds

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Write:
    """One write that the store took.

    Attributes:
        subject: the ModelDeployment that owns the object, else the one of the pass.
        about: the ModelDeployment that the pass has read, if it was in one.
        before: the object before it, None when there was none.
        after: the object after it, None when it is gone.
        reads: what this pass had read before, as ``request`` events.
        began: when its pass began.
    """

    t: float
    actor: str
    operator: bool
    epoch: int
    verb: str
    resource: str
    sub: str
    namespace: str
    name: str
    body: Any
    before: Object | None
    after: Object | None
    subject: Subject | None
    about: Subject | None
    reads: list[Event]
    began: float

    @property
    def what(self) -> str:
        return f"{self.verb} {self.resource}{'/' * bool(self.sub)}{self.sub} {self.name} by {self.actor}"


class World:
    """Feeds on every event, before the invariants look at it."""

    def __init__(self, *, elects: bool) -> None:
        self.t = 0.0
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.subjects: dict[str, Subject] = {}  # the newest of each key
        self.by_uid: dict[str, Subject] = {}
        self.available = Availability(elects=elects)
        self._clocks: dict[str, tuple[float, float, float]] = {}  # process: since, ahead, rate
        self._ahead = (0.0, 0.0)
        self.passes: dict[str, tuple[str, float, list[Event]]] = {}  # id -> object, begin, reads
        self._departed: dict[str, Object] = {}  # by uid, as they were last
        self._epochs: dict[str, int] = {}
        self.calm: float | None = None
        self._watch_fault = self._stale_read = -1e9
        self._fastest = 1.0  # seconds of the fastest clock per true second

    def process(self, event: Event) -> None:
        if event["kind"] == "start":
            self.skew(event, float(event.get("clock_offset") or 0.0))
        elif event["kind"] == "lease":
            self._epochs[event["actor"]] = int(event["epoch"])
        self.available.process(event)

    def skew(self, event: Event, offset: float) -> None:
        """The wall clock of a process is ahead by ``offset`` seconds, and runs at a rate, from now on."""
        self._drift()
        rate = float(event.get("rate") or 1.0)
        self._clocks[event["actor"]] = (event["t"], offset, rate)
        self._fastest = max(self._fastest, rate)
        self._drift()

    def _drift(self) -> None:
        """The least and the most that any wall clock has ever been ahead."""
        for since, offset, rate in self._clocks.values():
            ahead = offset + (self.t - since) * (rate - 1.0)
            self._ahead = (min(self._ahead[0], ahead), max(self._ahead[1], ahead))

    def at_least(self, seconds: float) -> float:
        """The true time that passes while the worst clocks of this run say that ``seconds`` have."""
        self._drift()
        return seconds / self._fastest - (self._ahead[1] - self._ahead[0]) - MARGIN

    def fault(self, event: Event) -> None:
        """An injected fault: some of them change what can be promised."""
        what = str(event.get("what", ""))
        if "offset" in event:
            self.skew(event, float(event["offset"]))
        if what.startswith("watch"):
            self._watch_fault = event["t"]
        elif what.startswith("stale"):
            self._stale_read = event["t"]
        elif what.startswith("api"):
            self.available.stumbled(str(event.get("call", "")), self.subjects)

    def watches_lie(self, t: float) -> bool:
        """Whether an event of lately may have been lost or late."""
        return t - self._watch_fault < 300.0

    def blinded(self, t: float) -> bool:
        """Whether reads of lately may have shown an old world, which nothing can be promised in."""
        return t - self._stale_read < 60.0

    def begin(self, event: Event) -> None:
        self.passes[event["id"]] = (event["object"], event["t"], [])
        self.available.began(event["object"])
        subject = self.subjects.get(event["object"])
        if subject is not None:
            subject.pending.pop(event["actor"], None)

    def read(self, event: Event) -> None:
        known = self.passes.get(event["pass"])
        if known is not None and event["code"] == 200:
            known[2].append(event)

    def truth(self, event: Event) -> None:
        """How the pods of a revision behave from now on."""
        subject = self.subjects.get(event["object"])
        if subject is not None:
            subject.slow[short(event["revision"] or "")] = float(event.get("slow") or 0.0)

    def answered(self, event: Event) -> None:
        subject = self.subjects.get(event["object"])
        if subject is None:
            return
        answer = Answer(
            t=event["t"],
            actor=event["actor"],
            revision=short(event["revision"]),
            kind=event["answer"],
            since=(event.get("start"), event.get("source", "")),
            requests=int(event.get("requests") or 0),
            errors=int(event.get("errors") or 0),
        )
        subject.pending.setdefault(event["actor"], []).append(answer)

    def owned(self, uid: str) -> Iterator[tuple[tuple[str, str, str], Object]]:
        """Everything that this ModelDeployment owns directly."""
        for key, item in self.objects.items():
            if views.controller_uid(item) == uid:
                yield key, item

    def child(self, subject: Subject, resource: str, revision: str) -> Object | None:
        namespace, _, name = subject.key.partition("/")
        return self.objects.get((resource, namespace, f"{name}-{revision}"))

    def commit(self, event: Event) -> Write:
        """A write that the store took: the model follows."""
        resource, namespace, name = event["resource"], event["namespace"], event["name"]
        after: Object | None = event["result"]
        name = name or views.meta(after).get("name", "")
        where = (resource, namespace, name)
        before = self.objects.get(where)
        uid = views.meta(after).get("uid")
        if uid in self._departed:  # what went is told before the write that made it go
            before = self._departed[uid]
        if uid in self._departed or (event["verb"] == "delete" and not _held_back(after)):
            after = None
        owner = self._subject_of(resource, namespace, name, before, after)
        about, began, reads = self.passes.get(event["pass"] or "", ("", event["t"], []))
        write = Write(
            t=event["t"],
            actor=event["actor"],
            operator=event["actor"].startswith("operator"),
            epoch=max(int(event.get("epoch") or 0), self._epochs.get(event["actor"], 0)),
            verb=event["verb"],
            resource=resource,
            sub=event.get("sub") or "",
            namespace=namespace,
            name=name,
            body=event["body"],
            before=before,
            after=after,
            subject=owner or self.subjects.get(about),
            about=self._read_by(reads) or self.subjects.get(about),
            reads=reads,
            began=began,
        )
        if resource in UNOWNED:
            return write
        if after is None:
            if views.meta(self.objects.get(where)).get("uid") == views.meta(before).get("uid"):
                self._remove(where, event["t"])
            return write
        self.objects[where] = after
        if resource == MODEL_DEPLOYMENTS:
            self._follow(write, after)
        elif resource == ROUTES and owner is not None:
            follow_route(owner, after, event["t"])
        return write

    def vanish(self, event: Event) -> Subject | None:
        """An object has left the store; the ModelDeployment that it belonged to."""
        where = (event["resource"], event["namespace"], event["name"])
        item = self.objects.get(where)
        if item is None or views.meta(item).get("uid") != event["uid"]:
            return None
        self._departed[event["uid"]] = item
        return self._remove(where, event["t"])

    def _remove(self, where: tuple[str, str, str], t: float) -> Subject | None:
        item = self.objects.pop(where, None)
        if where[0] == MODEL_DEPLOYMENTS:
            subject = self.by_uid.get(views.meta(item).get("uid", ""))
            if subject is not None:
                subject.gone = t
                subject.deleted = t if subject.deleted is None else subject.deleted
            return subject
        subject = self.by_uid.get(views.controller_uid(item))
        if where[0] == ROUTES and subject is not None:
            subject.weights, subject.taken, subject.live = {}, {}, {}
        return subject

    def _read_by(self, reads: list[Event]) -> Subject | None:
        """The very ModelDeployment, not one of the same name, that a pass has looked at."""
        for event in reads:
            if event["resource"] == MODEL_DEPLOYMENTS and event["verb"] == "get":
                for item in event["result"] or ():
                    return self.by_uid.get(views.meta(item).get("uid", ""))
        return None

    def _subject_of(
        self, resource: str, namespace: str, name: str, before: Object | None, after: Object | None
    ) -> Subject | None:
        if resource != MODEL_DEPLOYMENTS:
            return self.by_uid.get(views.controller_uid(after if after is not None else before))
        uid = views.meta(after if after is not None else before).get("uid", "")
        subject = self.by_uid.get(uid)
        if subject is None and after is not None:
            subject = Subject(f"{namespace}/{name}", uid)
            self.by_uid[uid] = self.subjects[subject.key] = subject
        return subject

    def _follow(self, write: Write, item: Object) -> None:
        subject = write.subject
        if subject is None:
            return
        meta, t = views.meta(item), write.t
        if "deletionTimestamp" in meta and subject.deleted is None:
            subject.deleted = t
        if meta.get("generation", 0) != subject.generation:
            subject.generation, subject.generation_since = meta.get("generation", 0), t
        raw = item.get("spec") or {}
        if raw != subject.raw_spec:
            subject.raw_spec, subject.spec = raw, read_spec(raw)
            subject.specs.append((t, subject.spec))
            release(subject)
        annotations = meta.get("annotations") or {}
        if annotations != subject.annotations:
            follow_commands(subject, annotations, t)
        status = item.get("status") or {}
        if status != subject.status:
            subject.foreign_status |= not write.operator
            follow_status(subject, status, t)
        if write.operator and write.sub == "status":
            book(subject, write.actor)


def _held_back(item: Object | None) -> bool:
    """Whether finalizers keep a deleted object in the store."""
    meta = views.meta(item)
    return "deletionTimestamp" in meta and bool(meta.get("finalizers"))
