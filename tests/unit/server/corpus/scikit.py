"""scikit-learn: every common family of estimators, and pipelines over mixed tables."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from .entry import CLASS, NUMBER, PAIR, Entry, X, features, mixed

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of other people's import time
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
    from sklearn.decomposition import PCA
    from sklearn.ensemble import (
        AdaBoostRegressor,
        BaggingRegressor,
        ExtraTreesRegressor,
        GradientBoostingClassifier,
        HistGradientBoostingRegressor,
        IsolationForest,
        RandomForestClassifier,
        StackingRegressor,
        VotingClassifier,
    )
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge
    from sklearn.mixture import GaussianMixture
    from sklearn.multioutput import MultiOutputRegressor
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler
    from sklearn.svm import SVC, SVR
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

_TABLE = mixed(60)
_QUESTIONS = features(7, seed=9)


def _fitted(estimator: Any, target: Any) -> Any:
    return estimator.fit(X, target)


def _over_table(estimator: Any, target: Any) -> Any:
    """A pipeline that scales numbers, encodes words and then asks ``estimator``."""
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "income"]),
            ("words", OneHotEncoder(handle_unknown="ignore"), ["city"]),
        ],
        remainder="passthrough",
    )
    return make_pipeline(columns, estimator).fit(_TABLE, target)


_BY_NUMBER: Mapping[str, Any] = {
    "linear": LinearRegression(),
    "ridge": Ridge(),
    "elastic net": ElasticNet(0.1),
    "tree": DecisionTreeRegressor(max_depth=4, random_state=0),
    "extra trees": ExtraTreesRegressor(20, random_state=0),
    "hist gradient boosting": HistGradientBoostingRegressor(max_iter=20, random_state=0),
    "ada boost": AdaBoostRegressor(n_estimators=10, random_state=0),
    "bagging": BaggingRegressor(random_state=0),
    "stacking": StackingRegressor([("r", Ridge()), ("s", SVR())], cv=2),
    "support vectors": SVR(),
    "gaussian process": GaussianProcessRegressor(),
    "perceptron": MLPRegressor(hidden_layer_sizes=(16,), max_iter=400, tol=1e-2, random_state=0),
    "scaled polynomial": make_pipeline(StandardScaler(), PolynomialFeatures(2), Ridge()),
    "principal components": make_pipeline(PCA(3), LinearRegression()),
    "transformed target": TransformedTargetRegressor(Ridge(), transformer=StandardScaler()),
}
_BY_CLASS: Mapping[str, Any] = {
    "logistic": LogisticRegression(),
    "tree classes": DecisionTreeClassifier(max_depth=4, random_state=0),
    "forest": RandomForestClassifier(20, random_state=0),
    "gradient boosting": GradientBoostingClassifier(n_estimators=10, random_state=0),
    "voting": VotingClassifier([("b", GaussianNB()), ("l", LogisticRegression())]),
    "calibrated": CalibratedClassifierCV(GaussianNB(), cv=2),
    "support vector classes": SVC(),
    "bayes": GaussianNB(),
    "neighbours": KNeighborsClassifier(),
}
_WITHOUT_TARGET: Mapping[str, Any] = {
    "k means": KMeans(3, n_init=1, random_state=0),
    "mini batch k means": MiniBatchKMeans(3, n_init=1, random_state=0),
    "isolation forest": IsolationForest(n_estimators=20, random_state=0),
    "gaussian mixture": GaussianMixture(2, random_state=0),
}
_PICKLED = {"serialization_format": "cloudpickle"}


def _entries() -> dict[str, Entry]:
    entries = {
        name: Entry("sklearn", partial(_fitted, estimator, target), _QUESTIONS, _PICKLED)
        for family, target in (
            (_BY_NUMBER, NUMBER),
            (_BY_CLASS, CLASS),
            (_WITHOUT_TARGET, None),
        )
        for name, estimator in family.items()
    }
    entries["two outputs"] = Entry("sklearn", partial(_fitted, Ridge(), PAIR), _QUESTIONS, _PICKLED)
    entries["a regressor for each output"] = Entry(
        "sklearn",
        partial(_fitted, MultiOutputRegressor(DecisionTreeRegressor(random_state=0)), PAIR),
        _QUESTIONS,
        _PICKLED,
    )
    entries["words as classes"] = Entry(
        "sklearn",
        partial(_fitted, LogisticRegression(), CLASS.map({0: "no", 1: "blå", 2: "ja"})),
        _QUESTIONS,
        _PICKLED,
    )
    entries["probabilities"] = Entry(
        "sklearn",
        partial(_fitted, RandomForestClassifier(20, random_state=0), CLASS),
        _QUESTIONS,
        {**_PICKLED, "pyfunc_predict_fn": "predict_proba"},
    )
    entries["table"] = Entry(
        "sklearn", partial(_over_table, LogisticRegression(), CLASS), mixed(7, seed=9), _PICKLED
    )
    entries["table of a forest"] = Entry(
        "sklearn",
        partial(_over_table, ExtraTreesRegressor(10, random_state=0), NUMBER),
        mixed(7, seed=9),
        _PICKLED,
    )
    entries["matrix"] = Entry(
        "sklearn",
        lambda: Ridge().fit(X.to_numpy(), PAIR),
        np.ascontiguousarray(_QUESTIONS),
        {"serialization_format": "skops"},
    )
    return entries


ENTRIES = _entries()
