"""What no source file of the program may do: run what it reads, or hand words to a shell."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ocr_sweep

PACKAGE = Path(ocr_sweep.__file__).parent
MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "commands", "telnetlib"}
CALLS = {
    "eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "pickle.loads", "torch.jit.load",
    "mlflow.pyfunc.load_model", "mlflow.pytorch.load_model", "mlflow.onnx.load_model", "shutil.unpack_archive",
    "tempfile.mktemp", "pandas.read_pickle",
}  # fmt: skip
VALUES = {("shell", True), ("allow_pickle", True), ("weights_only", False), ("save_as_external_data", True)}


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def faults(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"imports {alias.name}" for alias in node.names if alias.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield f"imports from {node.module}"
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            safe = any(one.arg == "Loader" and dotted(one.value).endswith("SafeLoader") for one in node.keywords)
            if name in CALLS and not (name == "yaml.load" and safe):
                yield f"calls {name}"
            if name.endswith((".extractall", ".extract")):
                yield f"calls {name}"
            given = [(one.arg, one.value.value) for one in node.keywords if isinstance(one.value, ast.Constant)]
            yield from (f"{name} with {arg}={value}" for arg, value in given if (arg, value) in VALUES)
            if name in ("np.load", "numpy.load") and ("allow_pickle", False) not in given:
                yield f"{name} without allow_pickle=False"
            if name == "torch.load" and ("weights_only", True) not in given:
                yield f"{name} without weights_only=True"


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from joblib import load", "yaml.load(f)", "eval('1')", "subprocess.run('x', shell=True)",
        "np.load(f)", "torch.load(f)", "torch.load(f, weights_only=False)", "archive.extractall(d)",
        "mlflow.onnx.load_model(u)",
    ],
)  # fmt: skip
def test_the_check_sees_what_it_should(source: str) -> None:
    assert list(faults(ast.parse(source)))


def test_no_source_file_does_it() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 200
    found = {
        str(path.relative_to(PACKAGE)): wrong
        for path in files
        if (wrong := list(faults(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert found == {}
