"""``serinus sandbox demo``: its options. What it does is in ``run``, which takes long to import."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer


def demo(
    name: Annotated[str, typer.Option("--name", help="Name of the demo's sandbox.")] = "demo",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the sandbox up at the end.")] = False,
    rate: Annotated[
        float | None,
        typer.Option(min=20, max=500, help="Requests per second; default: by the machine's cores."),
    ] = None,
) -> None:
    """Show a promotion and a rollback with real models under real requests."""
    try:
        from serinus.sandbox.demo.run import Options, run
    except KeyboardInterrupt:  # the imports take a while
        raise typer.Exit(130) from None

    # A terminal that cannot show a character gets another one, never a traceback.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    raise typer.Exit(run(Options(name, keep, rate or default_rate())))


def default_rate() -> float:
    """Requests per second that leave the machine room for the cluster: 60 on two cores."""
    return min(30.0 * max(os.cpu_count() or 1, 2), 150.0)
