"""Weights from the hub, against a stand-in on this machine: what is fetched and recorded, and every way to fail."""

import hashlib
import sys

import pytest
from hub_stand_in import Hub
from safetensors_files import filled, network, same

import scratchnet as sn
from scratchnet.trained import open_weights

pytest.importorskip("huggingface_hub", reason="the extra hub is not installed")


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """The stand-in; the library, imported anew, knows no other hub, and keeps its cache in a folder of the test."""
    def forget():
        for name in [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]:
            del sys.modules[name]
    server = Hub()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS"):
            patch.setenv(name, "1")
        for name, value in {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path_factory.mktemp("hub")),
                            "NO_PROXY": "*"}.items():
            patch.setenv(name, value)
        patch.delenv("HF_HUB_OFFLINE", raising=False)
        forget()
        yield server
    forget()
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def weights(hub, tmp_path):
    """The bytes of a file of weights; the stand-in is up, and has forgotten what it was asked."""
    hub.down = False
    hub.asked.clear()
    sn.save_weights(filled(network()), tmp_path / "w", "pytorch")
    return (tmp_path / "w").read_bytes()


CONFIG = (b'{"pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [1, 1, 1], "crop_pct": 0.5}, '
          b'"label_names": ["a", "b", "c", "d", "e"]}')


def test_the_weights_and_config_json_are_fetched_and_nothing_else(hub, weights):
    commit = hub.add("owner/all", {"model.safetensors": weights, "config.json": CONFIG, "pytorch_model.bin": b"no",
                                   "README.md": b"no", "other.safetensors": b"no", "train.py": b"no"})
    loaded = sn.load_weights(model := network(), "hub:owner/all")
    assert same(model, filled(network()).state_dict())
    assert sorted(hub.fetched()) == ["config.json", "model.safetensors"]
    assert loaded.source == f"hub:owner/all@{commit}" and loaded.sha256 == hashlib.sha256(weights).hexdigest()
    assert loaded.preprocessing.mean == (0.1, 0.2, 0.3) and loaded.class_names == list("abcde")
    sn.load_weights(network(), "hub:owner/all")
    assert hub.fetched() == []                                              # the cache has them


def test_a_revision_is_what_its_name_stands_for_at_the_time(hub, weights):
    old = hub.add("owner/moving", {"model.safetensors": weights[:-4] + b"\0\0\0\0"}, "v1")
    first = hub.add("owner/moving", {"model.safetensors": weights})
    assert sn.load_weights(network(), "hub:owner/moving@v1").source == f"hub:owner/moving@{old}"
    assert sn.load_weights(network(), "hub:owner/moving").source == f"hub:owner/moving@{first}"
    second = hub.add("owner/moving", {"model.safetensors": weights, "README.md": b""})
    assert sn.load_weights(network(), "hub:owner/moving@main").source == f"hub:owner/moving@{second}"
    assert sn.load_weights(network(), f"hub:owner/moving@{first}").source == f"hub:owner/moving@{first}"


def test_one_file_of_another_name_will_do_and_several_are_listed(hub, weights):
    hub.add("owner/one", {"resnet.safetensors": weights, "part/x.safetensors": b"no"})
    sn.load_weights(model := network(), "hub:owner/one")
    assert same(model, filled(network()).state_dict()) and hub.fetched() == ["resnet.safetensors"]
    hub.add("owner/two", {"b.safetensors": weights, "a.safetensors": weights})
    hub.add("owner/none", {"pytorch_model.bin": b"pickle", "README.md": b""})
    for name, words in {"two": "got a.safetensors, b.safetensors; download the one you mean",
                        "none": "got none; it has pytorch_model.bin: download that"}.items():
        with pytest.raises(FileNotFoundError, match=f"hub:owner/{name}: expected model.safetensors.*{words}"):
            sn.load_weights(network(), f"hub:owner/{name}")
    assert hub.fetched() == []


def test_what_cannot_be_had_is_one_clear_sentence(hub, weights):
    hub.add("owner/repo", {"model.safetensors": weights})
    hub.gated.add("owner/gated")
    for name, error, words in [
            ("hub:owner/missing", FileNotFoundError, "got none of the name owner/missing"),
            ("hub:owner/repo@v9", FileNotFoundError, "a branch, tag or commit of owner/repo, got none of the name v9"),
            ("hub:owner/gated", PermissionError, "gated one; accept its terms"),
            ("hub:repo", ValueError, "expected hub:OWNER/REPO or"), ("hub:owner/repo@", ValueError, "hub:OWNER/REPO"),
            ("hub:a/b/c", ValueError, "hub:OWNER/REPO"), ("hub:../..@x y", ValueError, "hub:OWNER/REPO")]:
        with pytest.raises(error, match=words) as caught:
            sn.load_weights(network(), name)
        assert str(caught.value).startswith(name) and "\n" not in str(caught.value)


def test_without_an_answer_the_cache_is_used_and_that_is_said(hub, weights, capsys, monkeypatch):
    commit = hub.add("owner/cached", {"model.safetensors": weights, "config.json": CONFIG})
    sn.load_weights(network(), "hub:owner/cached")
    hub.down = True
    capsys.readouterr()
    loaded = sn.load_weights(network(), "hub:owner/cached")
    assert loaded.source == f"hub:owner/cached@{commit}" and loaded.preprocessing.mean == (0.1, 0.2, 0.3)
    assert "the copy in its cache is used" in capsys.readouterr().err
    with pytest.raises(ConnectionError, match="^hub:owner/never: .*try again with a network"):
        sn.load_weights(network(), "hub:owner/never")
    hub.down = False
    monkeypatch.setattr(sys.modules["huggingface_hub"].constants, "HF_HUB_OFFLINE", True)
    assert sn.load_weights(network(), "hub:owner/cached").source == loaded.source
    with pytest.raises(ConnectionError, match="^hub:owner/never: .*OfflineModeIsEnabled"):
        sn.load_weights(network(), "hub:owner/never")


def test_a_file_that_is_no_safetensors_is_refused_like_any_other(hub, weights):
    hub.add("owner/lfs", {"model.safetensors": b"version https://git-lfs.github.com/spec/v1\n"})
    with pytest.raises(ValueError, match="git lfs pull"):
        sn.load_weights(network(), "hub:owner/lfs")


def test_a_network_by_name_asks_the_hub_once(hub, weights, tmp_path):
    sn.save_weights(sn.models.create("lenet5", (32, 32, 3)), tmp_path / "lenet", "pytorch")
    hub.add("owner/lenet", {"model.safetensors": (tmp_path / "lenet").read_bytes()})
    sn.load_weights(sn.models.create("lenet5", (32, 32, 3)), "hub:owner/lenet")
    once = len(hub.asked)
    hub.asked.clear()
    model, _ = open_weights("lenet5", "hub:owner/lenet")                    # what a second load has fetched is cached
    assert model.input_shape == (32, 32, 3) and 0 < len(hub.asked) < once
    again = len(hub.asked)
    hub.asked.clear()
    sn.load_weights(model, "hub:owner/lenet")
    assert len(hub.asked) == again


def test_without_the_extra_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(RuntimeError, match=r'hub:a/b: .*pip install "scratchnet-cnn\[hub\]"'):
        sn.load_weights(network(), "hub:a/b")
