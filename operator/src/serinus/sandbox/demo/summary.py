"""What the demo says at the end: what happened, in numbers, and where to look next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from serinus.sandbox.demo.evidence import (
    BETTER,
    WORSE,
    Evidence,
    missing,
    reaction,
)
from serinus.sandbox.demo.traffic import PATH, Account, Outcome, Problem
from serinus.sandbox.demo.training import Trained

MAX_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Place:
    """Where the sandbox is, for people who want to look."""

    sandbox: str
    kubeconfig: Path
    gateway_url: str
    mlflow_url: str
    prometheus_url: str | None
    namespace: str
    name: str
    hostname: str
    example_row: Path  # the body of one request
    serinus: str  # how to call the command line


def summary(
    evidence: Evidence, trained: Sequence[Trained], began: datetime, seconds: float
) -> RenderableType:
    """The end of the demo, whether it went well or not."""
    lacking = missing(evidence)
    good = not lacking
    head = Text("\n  ")
    if good:
        head.append("✓ ", "green")
        head.append(
            f"Version {BETTER} was promoted and version {WORSE} was rolled back, "
            f"in {seconds:.0f} s.",
            "bold",
        )
    else:
        head.append("✗ ", "red")
        head.append("The demo did not show what it is for:", "bold red")
    parts: list[RenderableType] = [head]
    parts += [_indented(f"- {line}", "red") for line in lacking]
    if evidence.account.total():
        parts += [Text(""), _requests(evidence.account, trained)]
    parts += [Text(""), _facts(facts(evidence, began))]
    return Group(*parts)


def facts(evidence: Evidence, began: datetime) -> list[tuple[str, str]]:
    """The numbers behind the claims, each with its label."""
    said = []
    timeline = _timeline(evidence)
    if timeline:
        said.append(("promotion", timeline))
    took = reaction(evidence)
    if took.operator is not None:
        seconds = took.operator.total_seconds()
        said.append(("rollback", f"{seconds:.1f} s from the first breached slot to weight 0"))
    if took.client is not None:
        said.append(
            ("", f"{took.client:.1f} s from the first bad answer to version {WORSE}'s last")
        )
    if evidence.failed is not None:
        said.append(("because", evidence.failed.message))
    refused = evidence.account.total(outcome=Outcome.REFUSED)
    wrong = evidence.account.total(outcome=Outcome.WRONG)
    said.append(("requests", f"{refused} refused, {wrong} answered wrongly"))
    said += [("", _problem(evidence, problem, began)) for problem in _surprises(evidence)]
    return said


def places(place: Place) -> list[str]:
    """How to go on by hand in a sandbox that was kept."""
    what = f"-n {place.namespace} {place.name}"
    patch = f"""'{{"spec":{{"model":{{"uri":"models:/{place.name}/{BETTER}"}}}}}}'"""
    headers = f"-H 'Host: {place.hostname}' -H 'Content-Type: application/json'"
    lines = [
        f"export KUBECONFIG={place.kubeconfig}",
        f"kubectl get mdep -n {place.namespace} -w",
        f"kubectl describe mdep {what}",
        f"curl -i {headers} -d @{place.example_row} {place.gateway_url}{PATH}",
        "",
        f"# The spec still asks for version {WORSE}, which failed. Ask for version {BETTER} again:",
        f"kubectl patch mdep {what} --type merge -p {patch}",
        "",
        f"# the models   {place.mlflow_url}",
    ]
    if place.prometheus_url:
        lines.append(f"# the metrics  {place.prometheus_url}")
    return [*lines, "", f"{place.serinus} sandbox down --name {place.sandbox}"]


def _indented(line: str, style: str = "") -> Padding:
    """A line whose continuation is indented as well."""
    return Padding(Text(line, style), (0, 0, 0, 4), expand=False)


def _facts(labelled: Sequence[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(style="dim")
    table.add_column()
    for label, text in labelled:
        table.add_row("", label, text)
    return table


def _requests(account: Account, trained: Sequence[Trained]) -> Table:
    """Requests by version and outcome, beside what the version's author promised."""
    promised = {str(report.version): report for report in trained}
    table = Table(box=None, padding=(0, 2), header_style="dim", pad_edge=True)
    table.add_column("answered by")
    for title in ("requests", "ok", "errors", "wrong", "right offline"):
        table.add_column(title, justify="right")
    for version in account.versions():
        report = promised.get(version)
        errors, wrong = (account.total(version, o) for o in (Outcome.MODEL_ERROR, Outcome.WRONG))
        table.add_row(
            f"version {version}",
            f"{account.total(version):,}",
            f"{account.total(version, Outcome.OK):,}",
            Text(f"{errors:,}", "red" if errors else ""),
            Text(f"{wrong:,}", "red" if wrong else ""),
            f"{report.accuracy:.1%}" if report else "",
        )
    refused = account.total(outcome=Outcome.REFUSED)
    table.add_row("nobody (refused)", Text(f"{refused:,}", "red" if refused else ""))
    return table


def _timeline(evidence: Evidence) -> str:
    """How version 2 came to 100 percent: each weight and when the router had confirmed it."""
    start = evidence.marks.get(BETTER)
    if start is None:
        return ""
    steps = [
        f"{shift.weight} % after {(shift.at - start).total_seconds():.0f} s"
        for shift in evidence.shifts
        if shift.version == BETTER and shift.weight
    ]
    return ", ".join(steps)


def _surprises(evidence: Evidence) -> list[Problem]:
    """The first failure of each kind that is not what version 3 is there to show."""
    first: dict[tuple[str, Outcome, str], Problem] = {}
    for problem in evidence.account.problems:
        if (problem.version, problem.outcome) != (WORSE, Outcome.MODEL_ERROR):
            first.setdefault((problem.version, problem.outcome, problem.why), problem)
    return list(first.values())[:MAX_SHOWN]


def _problem(evidence: Evidence, problem: Problem, began: datetime) -> str:
    who = f"version {problem.version}, " if problem.version else ""
    at = (problem.at - began).total_seconds()
    return f"{who}{problem.outcome} at {at:.1f} s, {_near(evidence, problem.at)}: {problem.why}"


def _near(evidence: Evidence, at: datetime) -> str:
    """What the router did last before something happened."""
    before = [shift for shift in evidence.shifts if shift.at <= at]
    if not before:
        return "before any shift"
    last = before[-1]
    ago = (at - last.at).total_seconds()
    return f"{ago:.1f} s after version {last.version} got {last.weight} %"
