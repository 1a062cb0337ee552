"""Files that hold weights in another way: known by their first bytes, refused with the way to convert them.

Pickles (.pth, .pt, .bin) run code of whoever made them when they are opened, so they are not opened here.
"""

import zipfile

PICKLE = '''in Python, where PyTorch is installed:
    import torch, safetensors.torch
    state = torch.load({path!r}, map_location="cpu", weights_only=True)
    safetensors.torch.save_file({{k: v.contiguous() for k, v in state.items()}}, {target!r})'''
KERAS = '''its arrays have names of its own; in Python, where h5py is installed:
    import h5py
    h5py.File({path!r}).visit(print)    # the names of its arrays; copy each into one of state = model.state_dict(),
    model.load_state_dict(state); sn.save_weights(model, {target!r})'''
ONNX = '''in Python, where onnx is installed:
    import onnx, safetensors.numpy
    tensors = {{t.name: onnx.numpy_helper.to_array(t).copy() for t in onnx.load({path!r}).graph.initializer}}
    safetensors.numpy.save_file(tensors, {target!r})'''
NPZ = '''in Python:
    import numpy, safetensors.numpy
    safetensors.numpy.save_file(dict(numpy.load({path!r}, allow_pickle=False)), {target!r})'''
UNPACK = "unpack it, and name the .safetensors file inside"
SHARDS = '''put its parts together, in Python:
    import glob, safetensors.numpy
    parts = [safetensors.numpy.load_file(part) for part in glob.glob({shards!r})]
    safetensors.numpy.save_file({{k: v for part in parts for k, v in part.items()}}, {target!r})'''
FETCH = "fetch the file itself again, through the link that downloads it"

# what the file begins with: (what it is, the way out)
STARTS = {
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file (.h5), as Keras writes them", KERAS),
    b"GGUF": ("a GGUF file, which holds a language model", "take the weights of a network of `summary --list`"),
    b"version https://git-lfs": ("a pointer of git-lfs, which stands for the file", "run `git lfs pull` beside it"),
    b"\x93NUMPY": ("a single NumPy array (.npy)", "a network has many: save them by name as safetensors"),
    b"\x1f\x8b": ("a gzip archive", UNPACK),
}


def refuse(path, start):
    """ValueError where `start`, the first 512 bytes of a file, is that of another format."""
    what, way = _known(path, start)
    if what is None:
        return
    target = path.with_suffix(".safetensors")
    if target == path:
        target = path.with_name(f"{path.stem}-converted.safetensors")
    way = way.format(path=str(path), target=str(target), shards=str(path.parent / "*.safetensors"))
    raise ValueError(f"{path}: expected safetensors, got {what}; {way}")


def _known(path, start):
    """(what it is, the way out), or (None, None) for what may be safetensors."""
    if start[4:8] == bytes(4) and start[8:9] == b"{":           # a header below 4 GB
        return None, None
    for beginning, known in STARTS.items():
        if start.startswith(beginning):
            return known
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        return "an empty file", FETCH
    if start.startswith(b"PK\x03\x04"):
        return _inside_zip(path)
    if start[:1] == b"\x80" and b"\1" <= start[1:2] <= b"\5":
        return "a pickle (.pth, .pt or .bin), which would run code when it is opened", PICKLE
    if text.startswith(b"<"):
        return "a web page, as servers send them with an error", FETCH
    if text.startswith(b"{") and b'"weight_map"' in _more(path):
        return "the index of a model in several files", SHARDS
    if text.startswith((b"{", b"[")):
        return "a JSON text", "name the .safetensors file that belongs to it"
    if start[257:262] == b"ustar":
        return "a tar archive", UNPACK
    if start[:1] == b"\x08" and start[1:2] < b"\x20" and start[2:3] in (b"\x12", b"\x1a", b"\x22", b":", b"B"):
        return "an ONNX file", ONNX
    return None, None


def _inside_zip(path):
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        names = []
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return "a pickle of PyTorch (.pth, .pt or .bin), which would run code when it is opened", PICKLE
    if any(name.endswith(".weights.h5") for name in names):
        return "a model of Keras (.keras)", "unpack it, it is a zip, and name the model.weights.h5 inside"
    if names and all(name.endswith(".npy") for name in names):
        return "arrays of NumPy (.npz)", NPZ
    return "a zip archive", UNPACK


def _more(path):
    with open(path, "rb") as file:
        return file.read(1 << 20)
