"""Draws the live view: rich on a terminal, plain lines of what changed everywhere else."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from serinus.api.status import Verdict
from serinus.sandbox.demo.frame import ArmRow, Frame, Line, Tone

MAX_WIDTH = 96
STORY_LINES = 6
INDENT = "  "
STABLE_STYLE, CANARY_STYLE, BAD_STYLE = "green", "yellow", "red"

MARKS = {
    Verdict.HEALTHY: ("✓", "green"),
    Verdict.BREACH: ("✗", "red"),
    Verdict.INSUFFICIENT: ("…", "dim"),
    Verdict.UNAVAILABLE: ("?", "yellow"),
}
TONES = {Tone.ACTION: ("▸", "bold cyan"), Tone.NORMAL: ("·", ""), Tone.WARNING: ("!", "red")}


def render(frame: Frame, width: int) -> RenderableType:
    """The whole picture, at most ``width`` columns wide and 23 lines high."""
    width = min(width, MAX_WIDTH)
    return Group(
        _spread(Text(f"{INDENT}{frame.act}", "bold"), Text(clock(frame.elapsed), "dim"), width),
        "",
        _fit(Text(f"{INDENT}{frame.sentence}", _sentence_style(frame)), width),
        "",
        *_weights(frame, width),
        "",
        _arms(frame, width),
        "",
        *_judgement(frame, width),
        "",
        *_story(frame, width),
        "",
        _footer(frame, width),
    )


def changes(before: Frame | None, after: Frame) -> list[str]:
    """What a reader of a log must hear of, as lines without control characters."""
    stamp = clock(after.elapsed)
    said = []
    if before is None or before.act != after.act:
        said.append(f"{stamp}  {after.act}")
    known = {line for _, line in before.story} if before else set()
    said += [
        f"{clock(when)}  {TONES[line.tone][0]} {line.text}"
        for when, line in after.story
        if line not in known
    ]
    if after.judged is not None and (before is None or before.judged != after.judged):
        _, verdict = after.judged
        if verdict is not Verdict.BREACH:  # the operator's Event tells of that
            readings = "; ".join(reading.text for reading in after.readings)
            said.append(f"{stamp}  {MARKS[verdict][0]} {verdict}: {readings}")
        clients = "; ".join(_plain_arm(row) for row in (after.stable, after.canary) if row)
        said.append(f"{stamp}    clients see {clients}")
    return said


def clock(elapsed: timedelta) -> str:
    """Minutes and seconds since the beginning, for example ``1:05``."""
    minutes, seconds = divmod(max(int(elapsed.total_seconds()), 0), 60)
    return f"{minutes}:{seconds:02}"


def percent(share: float | None) -> str:
    """A share for people: two digits are enough."""
    if share is None:
        return "-"
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.1f} %"


def milliseconds(seconds: float | None) -> str:
    """A latency for people."""
    return "-" if seconds is None else f"{1000 * seconds:.0f} ms"


def _sentence_style(frame: Frame) -> str:
    return BAD_STYLE if frame.verdicts and frame.verdicts[-1] is Verdict.BREACH else "bold"


def _weights(frame: Frame, width: int) -> list[Text]:
    """One bar for all requests: stable from the left, the canary from the right."""
    size = width - 2 * len(INDENT)
    if frame.stable is None or not frame.stable.weight:
        return [
            Text(INDENT + "░" * size, "dim"),
            Text(f"{INDENT}no version has traffic yet", "dim"),
        ]
    share = frame.canary_weight
    cells = round(size * share / 100)
    if 0 < share < 100:
        cells = min(max(cells, 1), size - 1)
    bar = Text(INDENT)
    bar.append("█" * (size - cells), STABLE_STYLE)
    bar.append("▓" * cells, _canary_style(frame))
    left = Text(f"{INDENT}version {frame.stable.version}  {100 - share} %", STABLE_STYLE)
    right = Text("")
    if frame.canary is not None:
        right = Text(f"version {frame.canary.version}  {share} %", _canary_style(frame))
    return [bar, _spread(left, right, width - len(INDENT))]


def _canary_style(frame: Frame) -> str:
    return BAD_STYLE if frame.verdicts and frame.verdicts[-1] is Verdict.BREACH else CANARY_STYLE


def _arms(frame: Frame, width: int) -> Table:
    table = Table(box=None, padding=(0, 0), width=width, header_style="dim", pad_edge=False)
    table.add_column("", width=len(INDENT))
    table.add_column("", ratio=3, no_wrap=True)
    table.add_column("model", ratio=4, no_wrap=True)
    for title in ("pods ready", "weight", "requests/s", "errors", "p99"):
        table.add_column(title, justify="right", ratio=4, no_wrap=True)
    table.add_column("", width=len(INDENT))
    for role, row in (("stable", frame.stable), ("canary", frame.canary)):
        if row is None:
            table.add_row("", Text(role, "dim"), Text("-", "dim"))
            continue
        style = STABLE_STYLE if role == "stable" else CANARY_STYLE
        table.add_row(
            "",
            Text(role, style),
            Text(f"version {row.version}", style),
            str(row.ready),
            "-" if row.weight is None else f"{row.weight} %",
            f"{row.recent.per_second:.0f}",
            Text(percent(row.recent.error_rate), BAD_STYLE if row.errors_bad else ""),
            Text(milliseconds(row.recent.p99), BAD_STYLE if row.p99_bad else ""),
        )
    return table


def _judgement(frame: Frame, width: int) -> list[Text]:
    """Always three lines, so that nothing below jumps."""
    if frame.progress is None:
        return [Text(f"{INDENT}no rollout under way", "dim"), Text(""), Text("")]
    size = 16
    done = round(size * frame.progress.share)
    head = Text(INDENT)
    head.append("━" * done, CANARY_STYLE)
    head.append("━" * (size - done), "dim")
    head.append(f"  {frame.progress.text}")
    verdicts = Text("")
    for verdict in frame.verdicts:
        mark, style = MARKS[verdict]
        verdicts.append(f" {mark}", style)
    lines = [_spread(head, verdicts, width - len(INDENT))]
    for reading in frame.readings[:2]:
        mark, style = MARKS[reading.verdict]
        line = Text(INDENT)
        line.append(mark, style)
        line.append(f" {reading.text}", BAD_STYLE if reading.verdict is Verdict.BREACH else "")
        lines.append(_fit(line, width))
    if len(lines) == 1:
        lines.append(Text(f"{INDENT}… the operator has no evidence about it yet", "dim"))
    return lines + [Text("")] * (3 - len(lines))


def _story(frame: Frame, width: int) -> list[Text]:
    latest = frame.story[-STORY_LINES:]
    return [_story_line(when, line, width) for when, line in latest]


def _story_line(when: timedelta, line: Line, width: int) -> Text:
    mark, style = TONES[line.tone]
    text = Text(INDENT)
    text.append(f"{clock(when):>5} ", "dim")
    text.append(f"{mark} {line.text}", style)
    return _fit(text, width)


def _footer(frame: Frame, width: int) -> Text:
    text = Text(f"{INDENT}{frame.requests:,} requests", "dim")
    for count, what in ((frame.refused, "refused"), (frame.wrong, "wrong")):
        text.append(" · ", "dim")
        text.append(f"{count:,} {what}", BAD_STYLE if count else "dim")
    return _spread(text, Text("Ctrl-C stops", "dim"), width - len(INDENT))


def _plain_arm(row: ArmRow) -> str:
    weight = "" if row.weight is None else f" at {row.weight} %"
    return (
        f"version {row.version}{weight}: {row.recent.per_second:.0f} requests/s, "
        f"errors {percent(row.recent.error_rate)}, p99 {milliseconds(row.recent.p99)}"
    )


def _spread(left: Text, right: Text, width: int) -> Text:
    """Left and right on one line; the left gives way."""
    left = left.copy()
    left.truncate(max(width - right.cell_len - 1, 0), overflow="ellipsis")
    gap = max(width - left.cell_len - right.cell_len, 0)
    return Text.assemble(left, " " * gap, right)


def _fit(text: Text, width: int) -> Text:
    text.truncate(width, overflow="ellipsis")
    return text
