"""The engines that the kernels run on. Without a device the tests on it are counted as such in pytest's last line."""

import shutil
import sys

import pytest
from engines import CudaEngine, HostEngine
from fake_cupy import Cupy, Device
from host_device import Host

from scratchnet import backend
from scratchnet.kernels.cuda import launch, optim

NOT_RUN = "gpu tests not run (no device)"


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("gpu") and not backend.gpu()[0]:
            item.add_marker(pytest.mark.skip(reason=f"no GPU: {backend.gpu()[1]}"))


def pytest_report_teststatus(report):
    if report.skipped and isinstance(report.longrepr, tuple) and report.longrepr[2].startswith("Skipped: no GPU: "):
        return NOT_RUN, "g", "NO GPU"


@pytest.fixture(scope="session")
def host(tmp_path_factory):
    if sys.platform != "linux" or shutil.which("g++") is None:
        pytest.skip("the kernels run on the host where there are Linux and g++")
    return Host(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(params=["host", pytest.param("cuda", marks=pytest.mark.gpu)])
def engine(request, monkeypatch):
    engine = HostEngine(request.getfixturevalue("host")) if request.param == "host" else CudaEngine()
    monkeypatch.setattr(launch, "device", engine.device)
    monkeypatch.setattr(optim, "_tables", {})    # addresses of another device's arrays, which may come again in this one
    with engine.allocating():
        yield engine


@pytest.fixture
def cupy(host, monkeypatch):
    """The stand-in of CuPy, in its place; what it gives is the device."""
    device = Device(host.folder)
    device.libraries = host.libraries                                  # what is compiled already
    monkeypatch.setitem(sys.modules, "cupy", Cupy("cupy"))
    monkeypatch.setattr(launch, "device", device)
    monkeypatch.setattr(optim, "_tables", {})
    monkeypatch.setitem(backend._loaded, "gpu", (True, "NumPy in disguise"))
    return device
