"""What installs, and who may import whom. .ci/run does the installing itself, with tests/packaging/."""

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("scratchnet", "kernels", "tests", "examples")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


@pytest.fixture(scope="module")
def setup_cfg():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def imports(path):
    """(module, level) of every import in a file; level counts the leading dots."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.level


def test_nobody_imports_kernels_under_its_bare_name():
    for path in SOURCES:
        for module, level in imports(path):
            assert level or module.partition(".")[0] != "kernels", f"{path} imports {module}; write scratchnet.{module}"


def test_kernels_import_nothing_from_the_rest_of_scratchnet():
    for path in (ROOT / "kernels").rglob("*.py"):
        depth = len(path.relative_to(ROOT / "kernels").parts)            # as many dots lead to kernels itself
        for module, level in imports(path):
            assert level or module.partition(".")[0] != "scratchnet", f"{path} imports {module}"
            assert level <= depth, f"{path}: {'.' * level}{module} leaves kernels/"


def test_every_package_of_the_checkout_is_listed_in_setup_cfg(setup_cfg):
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "scratchnet").rglob("*.py")}
    found |= {".".join(("scratchnet", *path.parent.relative_to(ROOT).parts))
              for path in (ROOT / "kernels").rglob("*.py")}
    assert set(setup_cfg["options"]["packages"].split()) == found


def test_kernels_is_no_package_of_its_own():
    assert not (ROOT / "kernels" / "__init__.py").exists(), "it would install as `kernels`, a name of another project"


def test_pyproject_holds_the_build_system_alone():
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("[")] == ["[build-system]"]


def test_everything_the_package_imports_is_declared_or_optional(setup_cfg):
    declared = set(setup_cfg["options"]["install_requires"].lower().split())
    declared |= {"pil", "llvmlite"}                          # Pillow's module; Numba's other half, installed with it
    optional = {"cupy", "ml_dtypes", "tensorboardx", "huggingface_hub"}              # extras, imported where they are used
    optional |= {"torch", "onnx", "onnxruntime", "openvino", "ncnn", "pnnx"}
    known = declared | optional | sys.stdlib_module_names | {"scratchnet"}
    for path in SOURCES:
        if path.relative_to(ROOT).parts[0] in ("scratchnet", "kernels"):
            for module, level in imports(path):
                assert level or module.partition(".")[0].lower() in known, f"{path} imports {module}"


def test_import_scratchnet_is_light():
    """No compiler, no pictures, no downloads: those take a second and are imported where they are used."""
    heavy = ["numba", "llvmlite", "matplotlib", "PIL", "pooch", "requests", "cupy", "ml_dtypes", "torch"]
    code = f"import scratchnet, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
