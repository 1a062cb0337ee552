"""Other files of weights are known by what is in them, whatever they are called; the error says how to convert them."""

import gzip
import io
import pickle
import zipfile

import numpy as np
import pytest

from scratchnet.weights.tensor_file import TensorFile


def zipped(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return file.getvalue()


def npz():
    file = io.BytesIO()
    np.savez(file, a=np.zeros(3))
    return file.getvalue()


FILES = {
    "a zip of torch.save": (zipped("archive/data.pkl", "archive/data/0"), "pickle of PyTorch.*weights_only=True.*save"),
    "a bare pickle": (pickle.dumps({"a": 1}, protocol=2), "pickle.*run code.*weights_only=True.*save_file"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5.*h5py"),
    "a zip of Keras": (zipped("metadata.json", "config.json", "model.weights.h5"), r"Keras.*model\.weights\.h5"),
    "ONNX": (b"\x08\x07\x12\x07pytorch", "ONNX.*numpy_helper"),
    "NumPy's npz": (npz(), "npz.*allow_pickle=False"),
    "GGUF": (b"GGUF\3\0\0\0", "GGUF"),
    "a pointer of git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
    "an error page": (b"\n<!DOCTYPE html><html>404</html>", "web page"),
    "an index of shards": (b'{"weight_map": {"a": "model-00001-of-00002.safetensors"}}', "several files.*glob"),
    "a JSON text": (b'{"architecture": "resnet50"}', "JSON text"),
    "a gzip": (gzip.compress(b"x"), "gzip.*unpack"),
    "another zip": (zipped("readme"), "zip archive.*unpack"),
    "a zip that is cut": (zipped("archive/data.pkl")[:30], "zip archive"),
    "one array": (b"\x93NUMPY\1\0", "npy"),
    "nothing": (b"", "empty"),
}


@pytest.mark.parametrize("content, words", FILES.values(), ids=FILES)
def test_a_file_of_another_kind_is_refused_with_the_way_out(tmp_path, content, words):
    for name in ("weights.safetensors", "weights.pth"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"(?s){name}: expected safetensors, got .*{words}"):
            TensorFile(tmp_path / name)


def test_the_lines_that_convert_a_pickle_of_pytorch_work(tmp_path, capsys):
    torch = pytest.importorskip("torch")
    state = {"a": torch.arange(6.0).reshape(2, 3).t(), "b": torch.ones(2, dtype=torch.bfloat16)}
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(ValueError) as caught:
        TensorFile(tmp_path / "weights.pth")
    lines = str(caught.value).splitlines()[1:]
    exec("\n".join(line.strip() for line in lines), {})
    with TensorFile(tmp_path / "weights.safetensors") as file:
        assert file.array("a").tolist() == [[0, 3], [1, 4], [2, 5]] and file.tensors["b"].dtype == "BF16"


def test_the_lines_that_put_parts_together_work(tmp_path):
    from safetensors.numpy import save_file
    for part in (1, 2):
        save_file({f"a{part}": np.full(3, part, "f4")}, tmp_path / f"model-0000{part}-of-00002.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text('{"weight_map": {}}')
    with pytest.raises(ValueError) as caught:
        TensorFile(index)
    exec("\n".join(line.strip() for line in str(caught.value).splitlines()[1:]), {})
    target, = set(tmp_path.glob("*.safetensors")) - set(tmp_path.glob("model-*"))
    with TensorFile(target) as file:
        assert set(file.tensors) == {"a1", "a2"}
