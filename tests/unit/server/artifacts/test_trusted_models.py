"""Models as people make them are admitted: the list of trusted names is long enough, and no longer."""

from __future__ import annotations

import _compat_pickle
import io
import pickle
import warnings
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, chi2, f_classif
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import SVC

from serinus_server.artifacts.formats.pickled import check_pickle_stream
from serinus_server.artifacts.formats.trusted import _EXACT, trusted
from serinus_server.errors import NotAdmitted

RNG = np.random.default_rng(5)
X = np.abs(RNG.normal(size=(60, 4)))
Y = np.tile([0, 1], 30)
TABLE = pd.DataFrame(X, columns=list("abcd")).assign(
    city=pd.Categorical(["Oslo", "Bergen"] * 30), plan=["x", "y", "z"] * 20
)
NUMBERS = make_column_selector(dtype_include=float)
MODELS: dict[str, Any] = {
    "logistic regression": LogisticRegression(),
    "stochastic gradient": SGDClassifier(random_state=0),
    "random forest": RandomForestClassifier(5, random_state=np.random.RandomState(3)),
    "gradient boosting": GradientBoostingClassifier(n_estimators=3, random_state=0),
    "histogram boosting": HistGradientBoostingClassifier(max_iter=3),
    "isolation forest": IsolationForest(n_estimators=3),
    "neighbours": KNeighborsClassifier(),
    "support vectors, calibrated": CalibratedClassifierCV(SVC(), cv=3),
    "naive Bayes": GaussianNB(),
    "network": MLPClassifier(max_iter=5),
    "Gaussian process": GaussianProcessRegressor(RBF() + WhiteKernel()),
    "clusters": KMeans(2, n_init=1),
    "stack": StackingClassifier([("a", GaussianNB()), ("b", LogisticRegression())], cv=3),
    "union": make_pipeline(FeatureUnion([("a", PCA(2)), ("b", StandardScaler())]), Ridge()),
    "best features": make_pipeline(SelectKBest(chi2, k=2), SelectKBest(f_classif, k=1), Ridge()),
    "search": GridSearchCV(SVC(), {"C": [1, 2]}, scoring=make_scorer(f1_score), cv=KFold(3)),
    "function of NumPy": make_pipeline(FunctionTransformer(np.log1p), Ridge()),
    "target": TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1),
    "splines": make_pipeline(SplineTransformer(), Ridge()),
    "columns": make_pipeline(
        ColumnTransformer(
            [
                ("numbers", StandardScaler(), NUMBERS),
                ("city", OneHotEncoder(handle_unknown="ignore"), ["city"]),
                ("plan", OrdinalEncoder(), ["plan"]),
            ]
        ),
        LogisticRegression(),
    ),
    "text": make_pipeline(TfidfVectorizer(), LogisticRegression()),
}


def fitted(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # five rounds are not enough to converge
        data: Any = TABLE if name == "columns" else X
        if name == "text":
            data = ["good day", "bad day"] * 30
        return MODELS[name].fit(data, Y)


@pytest.mark.parametrize("name", MODELS)
def test_models_of_scikit_learn_are_admitted(name: str) -> None:
    model = fitted(name)
    for stored in (pickle.dumps(model), pickle.dumps(model, 2), cloudpickle.dumps(model)):
        check_pickle_stream(io.BytesIO(stored), name)


def test_a_function_of_the_authors_is_not() -> None:
    stored = cloudpickle.dumps(FunctionTransformer(lambda rows: rows * 2))
    with pytest.raises(NotAdmitted, match="calls for"):
        check_pickle_stream(io.BytesIO(stored), "model.pkl")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("builtins", "map"),
        ("functools", "partial"),
        ("operator", "attrgetter"),
        ("importlib", "import_module"),
        ("joblib.numpy_pickle", "load"),
        ("numpy", "load"),
        ("numpy", "memmap"),
        ("numpy", "fromfile"),
        ("pandas", "read_pickle"),
        ("pandas.core.frame", "DataFrame.eval"),
        ("sklearn.base", "clone.__globals__"),
        ("sklearn.datasets._base", "load_files"),
        ("sklearn.pipeline", "Parallel"),
        ("sklearn.utils._testing", "TempMemmap"),
        ("sklearn.utils.parallel", "Parallel"),
        ("sklearn..base", "BaseEstimator"),
        ("sklearn", "os"),
        # It keeps source code in its state, and executes it when it is restored.
        ("scipy.stats._distn_infrastructure", "rv_continuous_frozen"),
        ("torch.storage", "_load_from_bytes"),
        ("torch.nn.modules.module", "warnings"),
        ("xgboost.core", "ctypes"),
    ],
)
def test_what_could_run_open_or_import_something_is_not_trusted(module: str, name: str) -> None:
    assert not trusted(module, name)


def test_what_pickles_of_python_2_call_by_a_trusted_name_is_trusted_too() -> None:
    for module, names in _EXACT.items():
        for name in names:
            if (module, name) in _compat_pickle.NAME_MAPPING:
                meant = _compat_pickle.NAME_MAPPING[module, name]
            else:
                meant = (_compat_pickle.IMPORT_MAPPING.get(module, module), name)
            assert trusted(*meant), (module, name)
