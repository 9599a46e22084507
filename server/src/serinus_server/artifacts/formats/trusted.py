"""The names that a stored model may ask Python for.

Pickles and skops files name functions and classes to be called. These here only build data and
estimators; none calls, imports, evaluates or opens what its arguments say. What is not listed is
not trusted: a list of what is dangerous would always miss something.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

_VALUES = "bool bytearray bytes complex dict float frozenset int list object set slice str tuple"
_EXACT: dict[str, frozenset[str]] = {
    module: frozenset(names.split())
    for module, names in {
        "_codecs": "encode",  # bytes in pickles of protocol 2
        # By Python 2's names, too, as pickles up to protocol 2 write them.
        "__builtin__": _VALUES,
        "builtins": _VALUES,
        "collections": "Counter OrderedDict defaultdict deque",
        "copy_reg": "_reconstructor",
        "copyreg": "_reconstructor",
        "datetime": "date datetime time timedelta timezone",
        "decimal": "Decimal",
        "numpy": "dtype max mean median min ndarray sum",
        "numpy._core.multiarray": "_reconstruct scalar",
        "numpy._core.numeric": "_frombuffer",
        "numpy.core.multiarray": "_reconstruct scalar",
        "numpy.core.numeric": "_frombuffer",
        "numpy.ma": "MaskedArray",
        "numpy.ma.core": "MaskedArray _mareconstruct",
        "numpy.random._generator": "Generator",
        "numpy.random._mt19937": "MT19937",
        "numpy.random._pcg64": "PCG64 PCG64DXSM",
        "numpy.random._philox": "Philox",
        "numpy.random._pickle": "__bit_generator_ctor __generator_ctor __randomstate_ctor",
        "numpy.random._sfc64": "SFC64",
        "numpy.random.bit_generator": "SeedSequence __pyx_unpickle_SeedSequence",
        "numpy.random.mtrand": "RandomState",
        "pandas.core.dtypes.dtypes": "CategoricalDtype",
        "pandas.core.indexes.base": "Index _new_Index",
        "pandas.core.indexes.range": "RangeIndex",
        "scipy._lib.array_api_compat.numpy._aliases": "asarray",
        "scipy.interpolate._bsplines": "BSpline",
        "scipy.sparse._bsr": "bsr_array bsr_matrix",
        "scipy.sparse._coo": "coo_array coo_matrix",
        "scipy.sparse._csc": "csc_array csc_matrix",
        "scipy.sparse._csr": "csr_array csr_matrix",
        "scipy.sparse._dia": "dia_array dia_matrix",
        "scipy.sparse._dok": "dok_array dok_matrix",
        "scipy.sparse._lil": "lil_array lil_matrix",
        "sklearn.cluster._k_means_lloyd": "lloyd_iter_chunked_dense lloyd_iter_chunked_sparse",
        "sklearn.cluster._kmeans": "_kmeans_single_elkan _kmeans_single_lloyd",
        "sklearn.utils._bunch": "Bunch",
        "sklearn.utils._metadata_requests": "MetadataRequest MethodMetadataRequest",
        "catboost.core": "CatBoost CatBoostClassifier CatBoostRanker CatBoostRegressor",
        "lightgbm.basic": "Booster",
        "lightgbm.sklearn": "LGBMClassifier LGBMModel LGBMRanker LGBMRegressor",
        "xgboost.core": "Booster",
        "xgboost.sklearn": "XGBClassifier XGBModel XGBRFClassifier XGBRFRegressor XGBRanker "
        "XGBRegressor",
        "torch": "Size device dtype BFloat16Storage BoolStorage ByteStorage CharStorage "
        "DoubleStorage FloatStorage HalfStorage IntStorage LongStorage ShortStorage bfloat16 bool "
        "float16 float32 float64 int16 int32 int64 int8 uint8",
        "torch._utils": "_rebuild_parameter _rebuild_parameter_with_state _rebuild_tensor "
        "_rebuild_tensor_v2",
        "torch.nn.parameter": "Parameter",
        "torch.serialization": "_get_layout",
    }.items()
}  # fmt: skip

# scikit-learn's parts whose classes do nothing but compute. Its utils, datasets, externals and
# tests start processes, open files and take functions to call.
_SKLEARN_PARTS = frozenset(
    {
        "_isotonic", "_loss", "base", "calibration", "cluster", "compose", "covariance",
        "cross_decomposition", "decomposition", "discriminant_analysis", "dummy", "ensemble",
        "feature_extraction", "feature_selection", "frozen", "gaussian_process", "impute",
        "isotonic", "kernel_approximation", "kernel_ridge", "linear_model", "manifold", "metrics",
        "mixture", "model_selection", "multiclass", "multioutput", "naive_bayes", "neighbors",
        "neural_network", "pipeline", "preprocessing", "random_projection", "semi_supervised",
        "svm", "tree",
    }
)  # fmt: skip
# Their public functions stand as values in models: a score to select features by, a metric.
_SKLEARN_FUNCTIONS = frozenset({"feature_selection", "metrics", "preprocessing"})


def trusted(module: str, name: str) -> bool:
    """Whether a stored model may name ``name`` of ``module``.

    Imports the module only if it belongs to scikit-learn, PyTorch's layers or NumPy and SciPy's
    universal functions, which loading the model would import as well.
    """
    if name in _EXACT.get(module, ()):
        return True
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        return False
    head, _, rest = module.partition(".")
    if head == "sklearn":
        return _trusted_sklearn(module, rest.split("."), name)
    if module.startswith("torch.nn.modules."):
        return _is(module, name, lambda found: _is_class_of(found, module))
    if module in ("numpy", "scipy.special", "scipy.special._ufuncs"):
        return _is(module, name, _is_number_function)
    return False


def _trusted_sklearn(module: str, parts: list[str], name: str) -> bool:
    if parts[0] not in _SKLEARN_PARTS or {"tests", "conftest"} & set(parts):
        return False
    if name.startswith("__pyx_unpickle_") or name == "newObj":
        # How Cython makes an empty instance of one of its own classes.
        return _is(module, name, lambda found: type(found).__name__ == "builtin_function_or_method"
                   or type(found).__name__ == "cython_function_or_method")  # fmt: skip
    if _is(module, name, lambda found: _is_class_of(found, module)):
        return True
    public = f"sklearn.{parts[0]}"
    return (
        parts[0] in _SKLEARN_FUNCTIONS
        and name in getattr(importlib.import_module(public), "__all__", ())
        and _is(module, name, lambda found: getattr(found, "__module__", None) == module)
    )


def _is(module: str, name: str, wanted: Callable[[Any], bool]) -> bool:
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        return False
    return wanted(found)


def _is_class_of(found: Any, module: str) -> bool:
    """A class of this very module: no name that it imported from elsewhere."""
    return isinstance(found, type) and found.__module__ == module


def _is_number_function(found: Any) -> bool:
    import numpy as np

    return isinstance(found, np.ufunc) or (
        isinstance(found, type) and issubclass(found, np.generic)
    )
