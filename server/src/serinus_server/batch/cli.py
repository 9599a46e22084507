"""The command line of ``serinus predict``, and its exit codes.

0: every row was answered. 1: the run failed. 2: wrong usage. 3: done, but some rows were bad.
128 + N: a signal ended it, and it can be resumed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from serinus_server import contract
from serinus_server.batch.errors import RunFailed, Stopped, Stopper, UsageError
from serinus_server.batch.formats import STREAM, format_of
from serinus_server.batch.options import DEFAULT_CHUNK_ROWS, Options
from serinus_server.batch.progress import Display, make_display
from serinus_server.errors import StartupError
from serinus_server.settings import Settings, SettingsError, read_settings
from serinus_server.telemetry.stopwatch import Stopwatch

DONE, FAILED, USAGE, BAD_ROWS = 0, 1, 2, 3
_SIGNAL = 128

# The options that stand for settings, in messages about these.
_OPTIONS = {
    contract.ENV_MODEL_URI: "--model",
    contract.ENV_MODEL_DIGEST: "--digest",
}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(
    epilog="Exit codes: 0 every row was answered, 1 the run failed, 2 wrong usage, 3 done but some "
    "rows were bad, 128+N ended by signal N (go on with --resume)."
)
def predict(
    *,
    model: Annotated[
        str, typer.Option(help="models:/, runs:/, s3://, gs://, https://, file:/// or a folder.")
    ],
    input_: Annotated[
        str, typer.Option("--input", "-i", help="CSV, JSON lines or Parquet; - is standard input.")
    ],
    output: Annotated[
        str,
        typer.Option("--output", "-o", help="CSV, JSON lines or Parquet; - is standard output."),
    ],
    errors: Annotated[
        str, typer.Option(help="File for bad rows; by default OUTPUT's name with .errors.jsonl.")
    ] = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted run.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite the output; forget an interrupted run.")
    ] = False,
    keep_inputs: Annotated[
        bool, typer.Option("--keep-inputs", help="Put all columns of the input into the output.")
    ] = False,
    columns: Annotated[
        str, typer.Option(help="Put these columns of the input into the output: a,b,c.")
    ] = "",
    features: Annotated[
        str, typer.Option(help="The model's columns, in this order; default: by its signature.")
    ] = "",
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave bad rows out, instead of null answers.")
    ] = False,
    params: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for the model; can be repeated.")
    ] = None,
    chunk_rows: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Rows that are in memory at once.")
    ] = DEFAULT_CHUNK_ROWS,
    digest: Annotated[str, typer.Option(help="Refuse a model of any other digest.")] = "",
    allow_custom_code: Annotated[
        bool, typer.Option("--allow-custom-code", help="The model may bring Python code.")
    ] = False,
    input_format: Annotated[str, typer.Option(help="csv, jsonl or parquet.")] = "",
    output_format: Annotated[str, typer.Option(help="csv, jsonl or parquet.")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Answer every row of a file by an MLflow model, as the server would.

    Rows stay in their order. Rows without an answer go to a file of their own, with the reason.
    An interrupted run goes on with --resume, and its output is the same to the last byte.
    """
    settings = _settings(model, digest, allow_custom_code=allow_custom_code)
    if keep_inputs and columns:
        raise UsageError("--keep-inputs and --columns exclude each other")
    options = Options(
        input=input_,
        input_format=format_of(input_, input_format, "--input"),
        output=output,
        output_format=format_of(output, output_format, "--output"),
        errors=errors or _errors_beside(output),
        chunk_rows=chunk_rows,
        features=_names(features),
        keep=("*",) if keep_inputs else _names(columns),
        params=_params(params or ()),
        skip_bad_rows=skip_bad_rows,
        fast_paths=settings.fast_paths,
        resume=resume,
        force=force,
    )
    if errors and output == STREAM:
        raise UsageError("--errors needs an output file: a stream cannot be resumed with it")
    options.check()
    stopper = Stopper()
    stopper.install()
    try:
        code = _run(settings, options, make_display(quiet=quiet), stopper)
    except Stopped as stopped:  # here, because typer makes something else of it
        code = _SIGNAL + stopped.number
        hint = "; --resume goes on" if _can_go_on(options) else ""
        _say(f"stopped by {stopped}{hint}", code)
    raise typer.Exit(code)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command; ends the process with its exit code."""
    code: int
    try:
        code = app(
            list(argv) if argv is not None else None, "serinus predict", standalone_mode=False
        )
    except (UsageError, SettingsError) as error:
        code = _say(str(error), USAGE)
    except (RunFailed, StartupError) as error:
        message = str(error).replace(
            f"{contract.ENV_ALLOW_CUSTOM_CODE}=true", "--allow-custom-code"
        )
        code = _say(message, FAILED)
    except (typer.Abort, KeyboardInterrupt):
        code = _say("stopped", _SIGNAL + signal.SIGINT)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        error.show()  # type: ignore[attr-defined]  # click's own, about the arguments
        code = USAGE
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # nobody reads it any more, which was told above
            stream.flush()
    os._exit(code or 0)  # libraries' threads must not hold up the exit


def _run(settings: Settings, options: Options, display: Display, stopper: Stopper) -> int:
    # Imported here: they bring MLflow, which takes seconds.
    from serinus_server.batch.model import fetched
    from serinus_server.batch.run import run
    from serinus_server.telemetry.logs import configure_logs

    configure_logs(settings.log_format)
    logging.getLogger().setLevel(logging.WARNING)
    watch = Stopwatch.start()
    try:
        with fetched(settings) as model:
            display.say(f"model {settings.model_uri}, {model.digest}")
            result = run(
                options,
                model.digest,
                lambda: model.load(fast_paths=settings.fast_paths),
                display,
                check=stopper.check,
            )
    finally:
        display.close()
    where = "" if not options.errors else f"; see {options.errors}"
    bad = f", {result.bad:,} of them bad{where}" if result.bad else ""
    display.say(f"{result.rows:,} rows{bad}, in {watch.seconds:.1f} s: {options.output}")
    return BAD_ROWS if result.bad else DONE


def _settings(model: str, digest: str, *, allow_custom_code: bool) -> Settings:
    """The server's settings, from its environment variables and the options that stand for some."""
    folder = Path(model)
    if ":" not in model and not folder.is_dir():
        raise UsageError(f"--model {model}: is no URI, and there is no such folder")
    uri = folder.resolve().as_uri() if ":" not in model and folder.is_dir() else model
    environ = {**os.environ, contract.ENV_MODEL_URI: uri, contract.ENV_MODEL_NAME: "batch"}
    if digest:
        environ[contract.ENV_MODEL_DIGEST] = digest
    if allow_custom_code:
        environ[contract.ENV_ALLOW_CUSTOM_CODE] = "true"
    try:
        return read_settings(environ)
    except SettingsError as error:
        message = str(error)
        for name, option in _OPTIONS.items():
            message = message.replace(f"{name}: must", f"{option} must")
        raise UsageError(message) from None


def _params(given: Sequence[str]) -> Mapping[str, Any]:
    """Values are JSON where they can be, and texts otherwise."""
    import json

    params: dict[str, Any] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not name or not equals:
            raise UsageError(f"--params {item}: write it as NAME=VALUE")
        try:
            params[name] = json.loads(value)
        except ValueError:
            params[name] = value
    return params


def _names(given: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in given.split(",") if name.strip())


def _errors_beside(output: str) -> str:
    """``out/predictions.csv.gz`` has its bad rows in ``out/predictions.errors.jsonl``."""
    if output == STREAM:
        return ""
    path = Path(output)
    stem = path.name.split(".")[0] or path.name
    return str(path.with_name(f"{stem}.errors.jsonl"))


def _can_go_on(options: Options) -> bool:
    paths = options.paths
    return paths is not None and options.input != STREAM and paths.checkpoint.exists()


def _say(message: str, code: int) -> int:
    sys.stderr.write(f"serinus predict: {message}\n")
    return code
