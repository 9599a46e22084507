"""``serinus predict`` as a process: killed, told to stop, fed with much, and asked for nonsense."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Runs a command and prints its largest memory in KiB.
_PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
BIN = Path(sys.executable).with_name("serinus")


class Predict:
    """The command over ``model``, in a folder of its own."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.model = model
        self.folder = folder

    def arguments(self, output: str, *more: str) -> list[str]:
        given = ["--model", str(self.model), "--input", "in.csv", "--output", output, *more]
        return [str(BIN), "predict", *given, "--allow-custom-code"]

    def run(self, output: str, *more: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.arguments(output, *more),
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def start(self, output: str, *more: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.arguments(output, *more),
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def until_saved(self, output: str, process: subprocess.Popen[bytes], rows: int) -> int:
        """Wait until the checkpoint has more than ``rows`` rows; returns how many it has."""
        checkpoint = self.folder / f"{output}.checkpoint"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if checkpoint.exists():
                done = json.loads(checkpoint.read_text())["progress"]["position"]["rows"]
                if done > rows:
                    return int(done)
            assert process.poll() is None, "the run ended before it could be interrupted"
            time.sleep(0.01)
        raise AssertionError("no checkpoint in time")


@pytest.fixture
def predict(model: Path, tmp_path: Path) -> Predict:
    return Predict(model, tmp_path)


@pytest.mark.parametrize("output", ["out.csv.gz", "out.parquet"])
def test_killed_at_any_moment_and_resumed_gives_the_bytes_of_an_undisturbed_run(
    predict: Predict, output: str
) -> None:
    rows = "".join(f"{-1 if i % 50 == 7 else 0.01},{i}\n" for i in range(400))
    (predict.folder / "in.csv").write_text("seconds,value\n" + rows)
    settings = ("--chunk-rows", "1", "--errors", "bad.jsonl")
    assert predict.run(output, *settings).returncode == 3
    expected = [(predict.folder / name).read_bytes() for name in (output, "bad.jsonl")]
    for name in (output, "bad.jsonl"):
        (predict.folder / name).unlink()
    dice = random.Random(7)  # noqa: S311 - nothing is secret here
    done = 0
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = predict.start(output, *settings, "--resume")
        done = predict.until_saved(output, process, done)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(dice.uniform(0, 0.3))
        process.send_signal(number)
        code = process.wait(10)
        assert code == (-number if number == signal.SIGKILL else 128 + number)
    assert not (predict.folder / output).exists()
    result = predict.run(output, *settings, "--resume")
    assert result.returncode == 3, result.stderr
    assert [(predict.folder / name).read_bytes() for name in (output, "bad.jsonl")] == expected
    assert sorted(path.name for path in predict.folder.iterdir()) == sorted(
        ["in.csv", output, "bad.jsonl"]
    )


def test_ctrl_c_ends_it_promptly_and_keeps_what_is_done(predict: Predict) -> None:
    (predict.folder / "in.csv").write_text("seconds,value\n0,1\n0,2\n" + "1.5,3\n" * 100)
    process = predict.start("out.csv", "--chunk-rows", "1")
    predict.until_saved("out.csv", process, 1)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 128 + signal.SIGINT
    assert time.monotonic() - begin < 5
    kept = (predict.folder / "out.csv.part").read_text().splitlines()
    assert [round(float(value)) for value in kept[1:3]] == [2, 4]


def test_memory_does_not_grow_with_the_file(predict: Predict) -> None:
    peaks = []
    piece = f"0,1.5,{'x' * 100}\n" * 1000
    for pieces in (1, 800):
        with (predict.folder / "in.csv").open("w") as file:
            file.write("seconds,value,more\n")
            file.writelines(piece for _ in range(pieces))
        command = predict.arguments("out.csv", "--features", "seconds,value", "--force")
        # A process begins with the peak of its parent, which for the tests is large.
        result = subprocess.run(
            [sys.executable, "-c", _PEAK, *command],
            cwd=predict.folder, capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        peaks.append(int(result.stdout))
        with (predict.folder / "out.csv").open() as file:
            assert sum(1 for _ in file) == 1000 * pieces + 1
    assert peaks[1] - peaks[0] < 30 * 1024, f"KiB at most: {peaks}"


def test_streams_go_through_a_pipe_and_exit_codes_tell(predict: Predict) -> None:
    stream = (
        *("--input", "-", "--input-format", "csv", "--output-format", "jsonl"),
        *("--chunk-rows", "1"),  # this model looks at the first row only
    )
    result = predict.run("-", *stream, stdin="seconds,value\n0,1\n0,2\n")
    assert (result.returncode, _rounded(result.stdout)) == (0, [2, 4])
    result = predict.run("-", *stream, stdin="seconds,value\n0,1\n-1,2\n")
    assert (result.returncode, _rounded(result.stdout)) == (3, [2, None])
    assert "row 1: the model raised ValueError: negative input" in result.stderr
    result = predict.run("-", *stream, stdin="seconds\n1\n")
    assert result.returncode == 3
    assert "the signature wants float64 of shape [-1, 2]" in result.stderr
    result = predict.run("out.txt")
    assert result.returncode == 2
    assert "out.txt: unknown extension" in result.stderr
    assert predict.run("out.csv", "--nonsense").returncode == 2


def _rounded(lines: str) -> list[int | None]:
    answers = [json.loads(line)["prediction"] for line in lines.splitlines()]
    return [None if answer is None else round(answer) for answer in answers]


def test_models_are_held_to_the_same_rules_as_the_server_s(predict: Predict) -> None:
    (predict.folder / "in.csv").write_text("seconds,value\n0,1\n")
    result = predict.run("out.csv", "--digest", f"sha256:{'0' * 64}")
    assert result.returncode == 1
    assert "was asked for" in result.stderr
    result = subprocess.run(
        predict.arguments("out.csv")[:-1],
        cwd=predict.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert "--allow-custom-code allows it" in result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert [path.name for path in predict.folder.iterdir()] == ["in.csv"]
