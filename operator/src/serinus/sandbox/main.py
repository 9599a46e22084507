"""``serinus sandbox``: a cluster for one user on one machine."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from serinus.sandbox.cluster import AlreadyUpError, Sandbox
from serinus.sandbox.demo.command import demo
from serinus.sandbox.parts import Layout, Settings
from serinus.sandbox.supervisor import PartDiedError, tail

app = typer.Typer(
    name="serinus sandbox",
    help="A small cluster of local processes: API server, node, gateway, Prometheus, MLflow.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Option("--name", help="Which sandbox; there may be several.")]

EXIT_DEGRADED, EXIT_DOWN = 1, 3


def say(text: str) -> None:
    """To people; results for programs go to standard output."""
    print(text, file=sys.stderr, flush=True)


@app.command()
def up(
    name: Name = "default",
    mlflow: Annotated[bool, typer.Option(help="With an MLflow server.")] = True,
    prometheus: Annotated[bool, typer.Option(help="With Prometheus, where it is.")] = True,
    operator: Annotated[bool, typer.Option(help="With the operator.")] = True,
    scrape_interval: Annotated[
        float, typer.Option(min=0.1, help="Seconds between Prometheus' looks at the pods.")
    ] = 2.0,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay, and go down with Ctrl-C.")
    ] = False,
) -> None:
    """Start the sandbox and say how to use it."""
    settings = Settings(
        name=name,
        with_mlflow=mlflow,
        with_prometheus=prometheus,
        with_operator=operator,
        scrape_interval=scrape_interval,
    )
    try:
        sandbox = Sandbox(settings, tie=foreground)
        asyncio.run(_up(sandbox, foreground=foreground))
    except AlreadyUpError as error:
        say(f"{error}.")
        _next_steps(_found(name))
    except (PartDiedError, ValueError) as error:
        say(f"\nThe sandbox did not start: {error}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        say("\nstopped")
        raise typer.Exit(130) from None


async def _up(sandbox: Sandbox, *, foreground: bool) -> None:
    def progress(part: str, what: str, seconds: float) -> None:
        say(f"  {part:12} {what:8} {seconds:5.1f} s" if seconds else f"  {part:12} {what}")

    say(f"starting sandbox {sandbox.settings.name!r}")
    await sandbox.up(progress)
    _next_steps(sandbox)
    if not foreground:
        return
    try:
        dead = await sandbox.wait_for_a_death()
        raise PartDiedError(f"{dead.name} ended: see {dead.log}")
    finally:
        await sandbox.down()


def _next_steps(sandbox: Sandbox) -> None:
    suffix = "" if sandbox.settings.name == "default" else f" --name {sandbox.settings.name}"
    lines = [f"\n  export KUBECONFIG={sandbox.kubeconfig}", "  kubectl get nodes,pods -A"]
    lines.append(
        f"  curl -H 'Host: NAME.example.com' {sandbox.gateway_url}/    # through the gateway"
    )
    if sandbox.prometheus_url:
        lines.append(f"  Prometheus   {sandbox.prometheus_url}")
    if sandbox.mlflow_url:
        lines.append(f"  MLflow       {sandbox.mlflow_url}    # export MLFLOW_TRACKING_URI=...")
    lines.append(f"  serinus sandbox status{suffix}; serinus sandbox down{suffix}")
    say("\n".join(lines))


def _found(name: str) -> Sandbox:
    try:
        sandbox = Sandbox.find(name)
    except ValueError as error:
        say(str(error))
        raise typer.Exit(2) from None
    if sandbox is None:
        say(f"there is no sandbox {name!r}; start it: serinus sandbox up --name {name}")
        raise typer.Exit(EXIT_DOWN)
    return sandbox


@app.command()
def down(name: Name = "default") -> None:
    """Stop the sandbox and remove everything that it made."""
    try:
        sandbox = Sandbox.find(name)
    except (ValueError, KeyError, TypeError):
        # A record that cannot be read must not keep the sandbox running.
        sandbox = Sandbox(Settings(name=name), tie=False)
    if sandbox is None:
        say(f"sandbox {name!r} is not up")
        return
    asyncio.run(sandbox.down())
    say(f"sandbox {name!r} is down")


@app.command()
def status(
    name: Name = "default",
    output: Annotated[str, typer.Option("--output", "-o", help="text or json")] = "text",
) -> None:
    """Say what runs. Exit status: 0 everything, 1 a part died, 3 there is no sandbox."""
    if output not in {"text", "json"}:
        raise typer.BadParameter("text or json", param_hint="--output")
    sandbox = _found(name)
    states = sandbox.states()
    urls = {
        "gateway": sandbox.gateway_url,
        "prometheus": sandbox.prometheus_url,
        "mlflow": sandbox.mlflow_url,
        "operator": sandbox.operator_url,
    }
    if output == "json":
        found: dict[str, Any] = {
            "name": name,
            "kubeconfig": str(sandbox.kubeconfig),
            "urls": {part: url for part, url in urls.items() if url},
            "parts": [
                {"name": s.name, "running": s.pid is not None, "pid": s.pid, "log": str(s.log)}
                for s in states
            ],
        }
        print(json.dumps(found, indent=2))
    else:
        for state in states:
            running = f"running  {state.pid}" if state.pid else f"DEAD     see {state.log}"
            print(f"{state.name:12} {running:18} {urls.get(state.name) or ''}".rstrip())
    if any(state.pid is None for state in states):
        raise typer.Exit(EXIT_DEGRADED)


@app.command()
def logs(
    part: Annotated[str | None, typer.Argument(help="A part; default: all of them.")] = None,
    name: Name = "default",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of each.")] = 50,
) -> None:
    """Show what the parts wrote."""
    layout = Layout.of(name)
    names = sorted(path.stem for path in (layout.root / "logs").glob("*.log"))
    if not names:
        say(f"there are no logs of a sandbox {name!r}")
        raise typer.Exit(EXIT_DOWN)
    if part is not None and part not in names:
        say(f"no part {part!r}; there are {', '.join(names)}")
        raise typer.Exit(2)
    chosen = [part] if part is not None else names
    if follow:
        files = [str(layout.log(one)) for one in chosen]
        os.execvp("tail", ["tail", "-n", str(lines), "-F", *files])  # noqa: S606
    for one in chosen:
        if len(chosen) > 1:
            print(f"==> {one} <==")
        print(tail(layout.log(one), lines))


@app.command()
def kubeconfig(name: Name = "default") -> None:
    """Print the path of the sandbox's kubeconfig."""
    path: Path = _found(name).kubeconfig
    print(path)


app.command()(demo)


def main() -> None:
    app()
