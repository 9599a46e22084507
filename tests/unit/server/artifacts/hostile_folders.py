"""Model folders made by somebody who wants this server to run code, or to read other files."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from . import hostile_files as files

Build = Callable[[Path, Path], None]


@dataclass(frozen=True, slots=True)
class Case:
    """``build(folder, canary)`` makes the model, which leaves ``canary`` behind if it is believed.

    ``why`` is what the refusal must say. ``bites``: MLflow as it is installed here falls for it, so
    that the test can prove the attack real.
    """

    name: str
    build: Build = field(repr=False)
    why: str
    bites: bool = False


def write(folder: Path, document: Any, **contents: bytes) -> None:
    """Write ``document`` as ``MLmodel``, and ``contents`` with ``__`` for ``/`` and ``DOT`` for a dot."""
    folder.mkdir(exist_ok=True)
    if isinstance(document, bytes):
        (folder / "MLmodel").write_bytes(document)
    elif document is not None:
        (folder / "MLmodel").write_text(yaml.safe_dump(document))
    for name, content in contents.items():
        path = folder / name.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def flavored(loader: str, flavor: dict[str, Any] | None = None, **function: Any) -> dict[str, Any]:
    """An ``MLmodel`` whose Python function is loaded by ``loader``."""
    name = loader.removeprefix("mlflow.")
    return {
        "flavors": {
            "python_function": {"loader_module": loader, "predict_fn": "predict", **function},
            name: flavor or {},
        }
    }


SKLEARN = flavored("mlflow.sklearn", {"serialization_format": "pickle"}, model_path="model.pkl")
HARMLESS = pickle.dumps({"a": 1})


def document(name: str, content: Any, why: str) -> Case:
    """A case of nothing but an ``MLmodel``, beside a pickle that bites if it is loaded after all."""

    def build(folder: Path, canary: Path) -> None:
        write(folder, content, modelDOTpkl=files.by_exec(canary))

    return Case(name, build, why)


def plain(name: str, make: Callable[[Path], Any], why: str) -> Case:
    """A harmless model whose folder ``make`` adds something to."""

    def build(folder: Path, canary: Path) -> None:
        write(folder, SKLEARN, modelDOTpkl=HARMLESS)
        make(folder)

    return Case(name, build, why)


def stored(
    name: str, content: Any, file: str, make: Callable[[Path], bytes], why: str, bites: bool = False
) -> Case:
    """``MLmodel`` is ``content``; the attack is what ``make(canary)`` puts into ``file``."""

    def build(folder: Path, canary: Path) -> None:
        write(folder, content)
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(make(canary))

    return Case(name, build, why, bites)


def documents() -> Iterator[Case]:
    good = yaml.safe_dump(SKLEARN)
    laughs = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    yield document("python object", b"!!python/object/apply:os.system ['true']", "YAML")
    yield document("billion laughs", (laughs + good).encode(), "more than")
    yield document("list within itself", (good + "metadata: &m [*m]\n").encode(), "more than")
    yield document("merged mappings", (good + "x: &x {a: 1}\ny: {<<: *x}\n").encode(), "merge")
    yield document("deep nesting", (good + "metadata: " + "[" * 5000).encode(), "YAML")
    yield document("deep", (good + "x: " + "[" * 60 + "]" * 60 + "\n").encode(), "levels")
    twice = good.replace("    predict_fn", "    loader_module: mlflow.pyfunc.model\n    predict_fn")
    yield document("key twice", twice.encode(), "twice")
    yield document("Latin-1", good.encode() + b"name: \xe9\n", "UTF-8")
    yield document("UTF-16", good.encode("utf-16"), "UTF-8")
    yield document("byte order mark", b"\xef\xbb\xbf" + good.encode(), "byte order")
    yield document("huge", good.encode() + b"#" * (1024 * 1024), "larger than")
    yield document("number without digits", good.encode() + b'size: !!int ""\n', "YAML")
    yield document("number of a million digits", good.encode() + b"n: " + b"1" * 10**5, "YAML")
    yield document("list of flavors", {"flavors": [SKLEARN]}, "python_function")
    yield document(
        "flavor that is text", {"flavors": {**SKLEARN["flavors"], "x": "y"}}, "no mapping"
    )
    yield document("loader of the standard library", flavored("os"), "'os'")
    yield document(
        "loader that is a list",
        flavored("mlflow.sklearn", None, loader_module=["x"]),
        "loader_module",
    )
    yield document(
        "method to predict by",
        flavored("mlflow.sklearn", None, predict_fn="__reduce__"),
        "predict_fn",
    )
    yield document(
        "method to stream by",
        flavored("mlflow.sklearn", None, streamable=True, predict_stream_fn="__reduce__"),
        "predict_stream_fn",
    )
    yield document(
        "configuration", flavored("mlflow.sklearn", None, model_config={"a": 1}), "model_config"
    )
    yield document(
        "device that is a command",
        flavored("mlflow.pytorch", None, model_config={"device": "x; true"}), "model_config",
    )  # fmt: skip
    yield document("data elsewhere", flavored("mlflow.sklearn", None, data="../other"), "outside")
    yield document("absolute data", flavored("mlflow.sklearn", None, data="/etc/passwd"), "outside")
    yield document(
        "data by Windows' rules", flavored("mlflow.sklearn", None, data="a\\..\\..\\b"), "outside"
    )
    yield document(
        "example elsewhere",
        {**SKLEARN, "saved_input_example_info": {"type": "ndarray", "artifact_path": "../../x"}},
        "outside",
    )
    yield document(
        "model file elsewhere",
        flavored("mlflow.sklearn", {"serialization_format": "pickle"}, model_path="x/../../y"),
        "outside",
    )
    yield document(
        "format that is a list", flavored("mlflow.sklearn", {"serialization_format": []}), "no text"
    )
    yield document(
        "XGBoost class", flavored("mlflow.xgboost", {"model_class": "os.getcwd", "data": "m"}), "model_class",
    )  # fmt: skip
    yield document(
        "LightGBM class", flavored("mlflow.lightgbm", {"model_class": "os.X", "data": "m"}), "model_class",
    )  # fmt: skip
    yield document(
        "CatBoost format", flavored("mlflow.catboost", {"save_format": "python"}), "save_format"
    )
    yield document(
        "ONNX provider that loads a library",
        flavored(
            "mlflow.onnx", {"providers": [["QNNExecutionProvider", {"backend_path": "e.so"}]]}
        ),
        "providers",
    )
    yield document(
        "ONNX session option",
        flavored("mlflow.onnx", {"onnx_session_options": {"extra_session_config": {"a": "b"}}}),
        "extra_session_config",
    )


def codes() -> Iterator[Case]:
    def module(name: str, function: dict[str, Any], why: str = "code") -> Case:
        def build(folder: Path, canary: Path) -> None:
            code = f"{files.touch(canary)}\ndef _load_pyfunc(path): raise SystemExit\n"
            write(
                folder, flavored("mlflow.sklearn", None, **function), code__hostile_loaderDOTpy=code.encode(),
            )  # fmt: skip

        return Case(name, build, why, bites="loader_module" in function)

    yield module(
        "loader of the model's own",
        {"loader_module": "hostile_loader", "code": "code"},
        "hostile_loader",
    )
    yield module("folder of code", {"code": "code"})
    yield module("code without a name for it", {}, "code of its own")
    yield module("old name for code", {"code_path": "code"})

    def model_from_code(folder: Path, canary: Path) -> None:
        write(
            folder,
            flavored("mlflow.pyfunc.loaders.code_model", None, model_code_path="model.py"),
            modelDOTpy=files.touch(canary).encode(),
        )

    yield Case("model from code", model_from_code, "SERINUS_ALLOW_CUSTOM_CODE", bites=True)
    yield stored(
        "Python model", flavored("mlflow.pyfunc.model", None, python_model="m.pkl", cloudpickle_version="3.1.2"),
        "m.pkl", files.by_exec, "SERINUS_ALLOW_CUSTOM_CODE", bites=True,
    )  # fmt: skip
    yield stored("pickle of pmdarima", flavored("mlflow.pmdarima", None, data="m.pkl"), "m.pkl",
                 files.by_exec, "SERINUS_ALLOW_CUSTOM_CODE")  # fmt: skip
    yield stored("pickle of statsmodels", flavored("mlflow.statsmodels", None, data="m.pkl"), "m.pkl",
                 files.by_exec, "SERINUS_ALLOW_CUSTOM_CODE")  # fmt: skip
    yield stored("spaCy pipeline", flavored("mlflow.spacy", None, data="m"), "m/meta.json",
                 lambda _: b"{}", "SERINUS_ALLOW_CUSTOM_CODE")  # fmt: skip


def pickles() -> Iterator[Case]:
    for name, make in files.PICKLES.items():
        bites = make is not files.by_import_of_numpy  # NumPy 2.4 has no such function any more
        yield stored(f"pickle: {name}", SKLEARN, "model.pkl", make, "calls for", bites)
    yield stored(
        "pickle that says it is skops' brother",
        flavored("mlflow.sklearn", {"serialization_format": "skops"}, model_path="model.pkl"),
        "model.pkl", files.by_exec, "zip",
    )  # fmt: skip
    yield stored(
        "pickle as data", flavored("mlflow.sklearn", {"serialization_format": "cloudpickle"}, data="m.bin"),
        "m.bin", files.by_exec, "calls for", bites=True,
    )  # fmt: skip
    yield stored(
        "pickle in a folder, without a format there",
        flavored("mlflow.sklearn", {"serialization_format": "skops"}, data="sub/m.skops"),
        "sub/m.skops", files.by_exec, "calls for", bites=True,
    )  # fmt: skip
    yield stored(
        "pickle that ends early", SKLEARN, "model.pkl", lambda _: b"\x80\x04\x95", "no pickle"
    )
    yield stored(
        "pickle of an extension code", SKLEARN, "model.pkl", lambda _: b"\x82\x01.", "no pickle"
    )

    def second(folder: Path, canary: Path) -> None:
        harmless = flavored("mlflow.sklearn", {"serialization_format": "skops"}, data="sub")
        write(folder, harmless, sub__modelDOTpkl=files.by_exec(canary))
        write(folder / "sub", SKLEARN)

    yield Case("second MLmodel", second, "second MLmodel", bites=True)
    yield stored(
        "pickle of LightGBM's scikit-learn class",
        flavored("mlflow.lightgbm", {"model_class": "lightgbm.sklearn.LGBMModel", "data": "m.pkl"}),
        "m.pkl", files.by_exec, "calls for",
    )  # fmt: skip


def formats() -> Iterator[Case]:
    torch = flavored("mlflow.pytorch", {"model_data": "data"}, data="data")

    def pytorch(name: str, note: bytes, file: str, make: Callable[[Path], bytes], why: str) -> Case:
        def build(folder: Path, canary: Path) -> None:
            write(folder, torch, data__pickle_module_infoDOTtxt=note)
            (folder / "data" / file).write_bytes(make(canary))

        return Case(name, build, why)

    def archive(canary: Path) -> bytes:
        return files.zipped({"model/data.pkl": files.by_exec(canary), "model/version": b"3\n"})

    yield pytorch("PyTorch: module to read it by", b"hostile", "model.pth", archive, "hostile")
    yield pytorch("PyTorch: pickle", b"pickle", "model.pth", archive, "calls for")
    yield pytorch("PyTorch: before 1.6", b"pickle", "model.pth", files.by_exec, "zip")
    yield pytorch(
        "PyTorch: TorchScript", b"pickle", "model.pth",
        lambda _: files.zipped({"m/data.pkl": HARMLESS, "m/code/a.py": b"", "m/constants.pkl": HARMLESS}),
        "TorchScript",
    )  # fmt: skip
    yield pytorch(
        "PyTorch: exported",
        b"pickle",
        "model.pt2",
        lambda _: files.zipped({"a/models/m.json": b"{}"}),
        "program",
    )
    yield pytorch(
        "PyTorch: two pickles of one name", b"pickle", "model.pth",
        lambda canary: files.zipped({"m/data.pkl": HARMLESS, "m/data.pkk": files.by_exec(canary)})
        .replace(b"m/data.pkk", b"m/data.pkl"),
        "one name",
    )  # fmt: skip
    yield pytorch(
        "PyTorch: pickle in front of the archive", b"pickle", "model.pth",
        lambda canary: files.two_faced({"m/data.pkl": HARMLESS}, {"m/data.pkl": files.by_exec(canary)}),
        "two different ways",
    )  # fmt: skip
    yield pytorch(
        "PyTorch: another name in the directory", b"pickle", "model.pth",
        lambda canary: files.renamed_in_front(
            files.zipped({"m/data.pkl": HARMLESS, "m/data/0": files.by_exec(canary)}), b"m/data.pkl", b"m/data.pkx"),
        "two different ways",
    )  # fmt: skip
    yield pytorch(
        "PyTorch: bytes behind the archive", b"pickle", "model.pth",
        lambda canary: files.zipped({"m/data.pkl": HARMLESS}) + files.by_exec(canary), "no entry",
    )  # fmt: skip

    def keras(name: str, layer: dict[str, Any], why: str = "calls for", **entries: bytes) -> Case:
        return stored(
            f"Keras: {name}", flavored("mlflow.keras", {"data": "model"}), "model.keras",
            lambda _: files.keras(layer, **entries), why,
        )  # fmt: skip

    yield keras("Lambda", {"module": "keras.layers", "class_name": "Lambda", "config": {}})
    yield keras("class of the system", {"module": "os", "class_name": "system", "config": "true"})
    yield keras(
        "function that fetches", {"module": "keras.utils", "class_name": "get_file", "config": {}}
    )
    yield keras("registered name", {**files.DENSE, "registered_name": "evil>Dense"})
    yield keras(
        "switch in the file", {**files.DENSE, "config": {"enable_unsafe_deserialization": True}}
    )
    yield keras("code by value", {"class_name": "__lambda__", "config": {"value": "4wEAAA=="}})
    yield keras("further file", files.DENSE, "calls for", **{"assets/x.pkl": b"x"})
    tensorflow = flavored("mlflow.tensorflow", {"model_type": "keras"}, data="data")

    def tf(name: str, why: str, module: bytes, form: bytes, **contents: bytes) -> Case:
        def build(folder: Path, canary: Path) -> None:
            write(
                folder, tensorflow, data__keras_moduleDOTtxt=module, data__save_formatDOTtxt=form,
                data__modelDOTkeras=files.keras(files.DENSE), **contents,
            )  # fmt: skip

        return Case(f"TensorFlow: {name}", build, why)

    yield tf("module to read it by", "'hostile'", b"hostile", b"keras")
    yield tf("HDF5", "program", b"keras", b"h5", data__modelDOTh5=b"x")
    yield tf(
        "pickled objects",
        "code of its own",
        b"keras",
        b"keras",
        data__custom_objectsDOTcloudpickle=b"x",
    )
    yield stored("TensorFlow: graph", flavored("mlflow.tensorflow", {"model_type": "tf2-module"}, data="g"),
                 "g/saved_model.pb", lambda _: b"x", "program")  # fmt: skip

    def onnx(name: str, content: bytes, why: str) -> Case:
        return stored(
            f"ONNX: {name}",
            flavored("mlflow.onnx", None, data="m.onnx"),
            "m.onnx",
            lambda _: content,
            why,
        )

    yield onnx("tensors elsewhere", files.onnx(location="../../secret"), "outside")
    yield onnx("tensors at an absolute path", files.onnx(location="/etc/passwd"), "outside")
    inner = files.field(5, files.field(13, files.field(1, b"location") + files.field(2, b"../x")))
    yield onnx(
        "tensors elsewhere, in a branch", files.onnx(files.onnx_node("If", inner)), "outside"
    )
    yield onnx("compiled program", files.onnx(files.onnx_node("EPContext")), "EPContext")
    yield onnx("runtime's own format", b"\x00\x01\x00\x00ORTM" + b"\xff" * 64, "no ONNX")
    yield onnx("message without an end", files.field(7, b"x" * 10)[:-4], "no ONNX")
    yield stored(
        "skops: type of the author's choice",
        flavored("mlflow.sklearn", {"serialization_format": "skops", "skops_trusted_types": ["os.system"]},
                 model_path="m.skops"),
        "m.skops", _skops, "os.system",
    )  # fmt: skip
    yield stored(
        "skops: bomb", flavored("mlflow.sklearn", {"serialization_format": "skops"}, model_path="m.skops"), "m.skops",
        lambda _: files.zipped({"schema.json": b" " * 50_000_000}, 8), "bomb",
    )  # fmt: skip


def _skops(_: Path) -> bytes:
    import warnings

    from sklearn.preprocessing import FunctionTransformer
    from skops.io import dumps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = dumps(FunctionTransformer(func=os.getcwd))
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        schema = (
            archive.read("schema.json").replace(b"getcwd", b"system").replace(b'"posix"', b'"os"')
        )
        return files.zipped({"schema.json": schema})


def names() -> Iterator[Case]:
    def file(name: str | bytes) -> Callable[[Path], Any]:
        def make(folder: Path) -> None:
            path = Path(os.fsdecode(os.path.join(os.fsencode(folder), os.fsencode(name))))  # noqa: PTH118 - bytes
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")

        return make

    def pair(one: str, other: str) -> Callable[[Path], Any]:
        return lambda folder: (file(one)(folder), file(other)(folder))

    def bound_socket(folder: Path) -> None:
        here = Path.cwd()
        os.chdir(folder)  # the names of sockets are short
        try:
            with socket.socket(socket.AF_UNIX) as unix:
                unix.bind("s")
        finally:
            os.chdir(here)

    yield plain("link to a file", lambda folder: (folder / "x").symlink_to("/etc/passwd"), "a link")
    yield plain("link to a folder", lambda folder: (folder / "x").symlink_to("/etc"), "a link")
    yield plain("link to itself", lambda folder: (folder / "x").symlink_to("x"), "a link")
    yield plain("link to its own folder", lambda folder: (folder / "x").symlink_to("."), "a link")
    yield plain("pipe", lambda folder: os.mkfifo(folder / "x"), "a pipe")
    yield plain("socket", bound_socket, "a socket")
    yield plain("line break in a name", file("a\nb"), "cannot be shown")
    yield plain("escape in a name", file("a\x1b[2Jb"), "cannot be shown")
    yield plain("right-to-left name", file("a\u202egnp.exe"), "cannot be shown")
    yield plain("name that is no UTF-8", file(b"a\xff"), "cannot be shown")
    yield plain("backslash", file("..\\..\\x"), "other systems")
    yield plain("trailing dot", file("model.pkl."), "dot or a space")
    yield plain("trailing space", file("model.pkl "), "dot or a space")
    yield plain("capitals", pair("a/Data", "a/data"), "one name")
    yield plain("folder in other capitals", pair("A/x", "a/y"), "one name")
    yield plain("forms of one letter", pair("\u00e9", "e\u0301"), "one name")
    yield plain("wide letters", pair("model.json", "\uff4dodel.json"), "one name")
    yield plain(
        "deep folders", lambda folder: folder.joinpath(*"a" * 40).mkdir(parents=True), "folders"
    )
    yield plain("library", file("libevil.so"), "code of its own")


CASES = [*documents(), *codes(), *pickles(), *formats(), *names()]
