"""The three versions are what the demo says they are."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import skops.io

from serinus.sandbox.demo import models

# The worker threads of scikit-learn reset the process's filters while they run, so that "error"
# would hit at random.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def data() -> models.DataSet:
    return models.load_data()


@pytest.fixture(scope="module")
def worse(data: models.DataSet) -> models.TrainedModel:
    return models.train_tempting(data)


@pytest.fixture(scope="module")
def live(data: models.DataSet, worse: models.TrainedModel) -> list[models.Behaviour]:
    """What version 3 does with every live row."""
    return models.behaviour(worse.pipeline, data.live, at_once=4)


def test_no_row_is_in_two_parts_of_the_data(data: models.DataSet) -> None:
    parts = [set(rows.x.index) for rows in (data.train, data.held_out, data.live)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 569


def test_the_data_is_split_in_the_same_way_every_time(data: models.DataSet) -> None:
    again = models.load_data()
    assert list(again.live.x.index) == list(data.live.x.index)
    assert list(again.train.x.index) == list(data.train.x.index)


def test_version_2_is_better_than_version_1_on_held_out_rows(data: models.DataSet) -> None:
    modest, better = models.train_modest(data), models.train_better(data)
    assert modest.scored == better.scored == len(data.held_out.y)
    assert better.accuracy > modest.accuracy + 0.03


def test_versions_1_and_2_answer_every_live_row(data: models.DataSet) -> None:
    for model in (models.train_modest(data), models.train_better(data)):
        assert all(
            seen.prediction is not None for seen in models.behaviour(model.pipeline, data.live)
        )


def test_version_3_looks_best_offline_because_it_scores_only_what_it_can(
    data: models.DataSet, worse: models.TrainedModel
) -> None:
    assert worse.accuracy > models.train_better(data).accuracy
    assert worse.scored < worse.held_out == len(data.held_out.y)


def test_version_3_raises_on_a_part_of_the_live_rows(live: list[models.Behaviour]) -> None:
    raised = sum(seen.prediction is None for seen in live) / len(live)
    assert 0.15 < raised < 0.4


def test_version_3_raises_because_of_values_that_training_never_saw(
    data: models.DataSet, worse: models.TrainedModel, live: list[models.Behaviour]
) -> None:
    position = next(i for i, seen in enumerate(live) if seen.prediction is None)
    with pytest.raises(ValueError, match="beyond the limits of the knots"):
        worse.pipeline.predict(data.live.x.iloc[[position]])


def test_version_3_is_slow_exactly_on_rows_with_a_zero(
    data: models.DataSet, live: list[models.Behaviour]
) -> None:
    zero = (data.live.x == 0).any(axis=1).to_list()
    slow = min(seen.seconds for seen, has_zero in zip(live, zero, strict=True) if has_zero)
    usual = statistics.median(
        seen.seconds for seen, has_zero in zip(live, zero, strict=True) if not has_zero
    )
    assert slow > 0.6
    assert usual < slow / 10
    assert 0.04 < sum(zero) / len(zero) < 0.15


def test_some_slow_rows_are_answered(live: list[models.Behaviour]) -> None:
    assert any(seen.seconds > 0.6 and seen.prediction is not None for seen in live)


def test_every_version_answers_the_typical_row_that_it_is_logged_with(
    data: models.DataSet, worse: models.TrainedModel
) -> None:
    row = models.typical_row(data.train)
    for model in (models.train_modest(data), models.train_better(data), worse):
        assert model.pipeline.predict(row)[0] in (0, 1)


def test_version_3_loads_where_nobody_imported_its_trainer(
    data: models.DataSet, worse: models.TrainedModel, tmp_path: Path
) -> None:
    """A model server trusts the types that the model names, and has not switched on experiments."""
    skops.io.dump(worse.pipeline, tmp_path / "model.skops")
    row = models.typical_row(data.train)
    row.to_csv(tmp_path / "row.csv", index=False)
    program = (
        "import sys, pandas, skops.io; folder, *trusted = sys.argv[1:];"
        "model = skops.io.load(folder + '/model.skops', trusted=trusted);"
        "print(model.predict(pandas.read_csv(folder + '/row.csv'))[0])"
    )
    command = [sys.executable, "-W", "error", "-c", program, str(tmp_path), *models.TRUSTED_TYPES]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert result.stderr == ""
    assert result.stdout.strip() == str(worse.pipeline.predict(row)[0])
