"""``serinus``, also installed as ``kubectl-serinus``.

Commands that are programs of their own are started in place of this one, so that the command line
stays light and imports neither the operator nor the sandbox.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

import typer

from serinus import __version__

app = typer.Typer(
    name="serinus",
    help="Progressive delivery for machine-learning models on Kubernetes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
operator = typer.Typer(help="The operator.", no_args_is_help=True)
app.add_typer(operator, name="operator")

HANDED_OVER = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


@app.command(context_settings=HANDED_OVER)
def sandbox(context: typer.Context) -> None:
    """A small cluster of local processes: up, down, status, logs, kubeconfig."""
    _become("serinus.sandbox", context.args, extra="sandbox", needs=("aiohttp", "yaml", "envoy"))


@app.command(context_settings=HANDED_OVER)
def predict(context: typer.Context) -> None:
    """Answer every row of a file by an MLflow model, as the server would."""
    _become(
        "serinus_server.batch", context.args, extra="batch", needs=("pyarrow", "rich", "mlflow")
    )


@operator.command("run", context_settings=HANDED_OVER)
def operator_run(context: typer.Context) -> None:
    """Run the operator here, against the cluster of KUBECONFIG."""
    _become("serinus.app", context.args, extra="operator", needs=("kopf", "kubernetes"))


def _become(module: str, arguments: list[str], *, extra: str, needs: tuple[str, ...]) -> None:
    missing = [name for name in needs if find_spec(name) is None]
    if missing:
        print(
            f"{', '.join(missing)} not installed: pip install 'serinus[{extra}]'", file=sys.stderr
        )
        raise typer.Exit(1)
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])


def main() -> None:
    app()
