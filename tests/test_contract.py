"""The promises between the folders: an operation has one name in both kernel folders, a layer leads to both.

(Who may import whom is asserted in test_packaging.py.)
"""

import importlib
import inspect
import re

import pytest

import scratchnet.layers
from scratchnet.kernels import cpu, reference

OPERATIONS = sorted(reference.__all__)
LAYERS = [kind for name, kind in sorted(vars(scratchnet.layers).items()) if name in scratchnet.layers.__all__
          and inspect.isclass(kind) and issubclass(kind, scratchnet.layers.Layer)
          and kind is not scratchnet.layers.Layer]
# What these say instead of naming files.
WITHOUT_KERNELS = {"Identity": "No kernel", "Sequential": "Without kernels of its"}


def module_of(kernels, operation):
    """The file that exports an operation, as its name without .py: where the operation is defined."""
    package, _, file = getattr(kernels, operation).__module__.rpartition(".")
    assert package == kernels.__name__, f"{operation} of {kernels.__name__} comes from {package}.{file}"
    return file


def called_operations(kind):
    """The operations in a class's source: what stands behind ops(…)."""
    return set(re.findall(r"\bops\(\w+\)\.(\w+)", inspect.getsource(kind)))


def test_both_kernel_folders_export_the_same_operations():
    assert len(OPERATIONS) == len(set(OPERATIONS)) > 40
    assert sorted(cpu.__all__) == OPERATIONS
    for kernels in (reference, cpu):
        public = {name for name, value in vars(kernels).items() if callable(value) and name[0] != "_"}
        assert public == set(OPERATIONS), f"{kernels.__name__}.__all__ is not what it exports"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_has_one_signature_and_one_file_name(operation):
    assert inspect.signature(getattr(cpu, operation)) == inspect.signature(getattr(reference, operation))
    assert module_of(cpu, operation) == module_of(reference, operation)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_and_its_backward_share_a_file(operation):
    forward = re.sub(r"_backward(_data|_weights)?$", "", operation)
    if forward in OPERATIONS:                            # bias_backward has no forward: dense and conv add it
        assert module_of(reference, operation) == module_of(reference, forward)


@pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.__name__)
def test_a_layers_docstring_leads_to_its_kernels(kind):
    if kind.__name__ in WITHOUT_KERNELS:
        assert WITHOUT_KERNELS[kind.__name__] in kind.__doc__
        assert not called_operations(kind)
        return
    files = set(re.findall(r"kernels/reference/(\w+)\.py", kind.__doc__))
    assert files and files == set(re.findall(r"kernels/cpu/(\w+)\.py", kind.__doc__))
    for file in files:
        importlib.import_module(f"{reference.__name__}.{file}")
        importlib.import_module(f"{cpu.__name__}.{file}")
    linked = re.findall(r"kernels/reference/(\w+)\.py: (\w+)", kind.__doc__)
    assert linked or not called_operations(kind), "the docstring names no operation, and the layer calls some"
    for file, operation in linked:
        assert operation in called_operations(kind), f"{kind.__name__} does not call {operation}"
        assert module_of(reference, operation) == module_of(cpu, operation) == file


def test_every_operation_is_called_somewhere_by_that_name():
    sources = [inspect.getsource(importlib.import_module(f"scratchnet.{name}")) for name in (
        "losses", "optim", "layers.parameter", "layers.activation", "layers.checks", "layers.containers", "layers.conv",
        "layers.dense", "layers.dropout", "layers.norm", "layers.pad", "layers.pool")]
    called = set().union(*(re.findall(r"\bops\(\w+(?:\[0\])?\)\.(\w+)", source) for source in sources))
    # What the backward passes in one call are made of; the bias takes its activation's gradient with it.
    pieces = {*re.findall(r"\w+_backward_(?:data|weights)", inspect.getsource(reference.conv2d_backward)
                          + inspect.getsource(reference.dense_backward)), "relu_bias_backward", "tanh_bias_backward"}
    assert called <= set(OPERATIONS) and called | pieces == set(OPERATIONS)
