"""Weights from the hub, huggingface.co, through the extra `hub` (huggingface_hub) and its cache.

Of a repository nothing but one .safetensors file and config.json are fetched, both of the same commit.
"""

import re
import sys
from pathlib import Path

from scratchnet.data.download import reason

PREFIX = "hub:"
FORM = re.compile(r"hub:([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?", re.ASCII)
FILE, CONFIG = "model.safetensors", "config.json"
FOREIGN = (".bin", ".pth", ".pt", ".h5", ".keras", ".onnx", ".npz")
PATIENCE = 10                   # seconds to wait for an answer


def parsed(name):
    """(OWNER/REPO, REVISION, by default main) of hub:OWNER/REPO[@REVISION]. ValueError for another form."""
    match = FORM.fullmatch(name)
    if not match:
        raise ValueError(f"{name}: expected hub:OWNER/REPO or hub:OWNER/REPO@REVISION, as in "
                         "hub:timm/resnet50.a1_in1k@main; correct it")
    return match[1], match[2] or "main"


def fetch(name):
    """(path of the weights, hub:OWNER/REPO@COMMIT, their sha256 or None) for hub:OWNER/REPO[@REVISION].

    config.json, where the repository has one, lies beside the path. Without an answer of the hub its cache is enough,
    and that is printed. RuntimeError without the extra, ValueError for another form of name, OSError where there is
    nothing to be had, each saying why.
    """
    repo, revision = parsed(name)
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError:
        raise RuntimeError(f"{name}: expected the package huggingface_hub, which is not installed; install it with: "
                           'pip install "scratchnet-cnn[hub]" (in a checkout: pip install -e ".[hub]")') from None
    try:
        path = Path(_weights(huggingface_hub, name, repo, revision))
    except Exception as error:                          # of the library, of what it uses for HTTP, of the disk
        raise _explained(name, repo, revision, error) from None
    blob = path.resolve().name                          # the cache stores large files by their sha256
    return path, f"{PREFIX}{repo}@{path.parent.name}", blob if re.fullmatch("[0-9a-f]{64}", blob) else None


def _weights(huggingface_hub, name, repo, revision):
    """The path of the weights in the cache, .../snapshots/COMMIT/FILE; config.json is there, too, if there is one."""
    errors, api = huggingface_hub.errors, huggingface_hub.HfApi()
    try:
        file = _look_up(huggingface_hub, api, repo, revision)
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, FileNotFoundError):
        raise                                           # that is an answer
    except Exception as error:                          # whatever it is, the cache may do
        try:
            path = huggingface_hub.hf_hub_download(repo, FILE, revision=revision, local_files_only=True)
        except errors.LocalEntryNotFoundError:
            raise error from None
        print(f"{name}: no answer of the hub ({reason(error)}); the copy in its cache is used", file=sys.stderr)
        return path
    path = huggingface_hub.hf_hub_download(repo, file, revision=revision)      # by revision: the cache remembers it
    try:
        huggingface_hub.hf_hub_download(repo, CONFIG, revision=Path(path).parent.name)
    except errors.EntryNotFoundError:
        pass
    return path


def _look_up(huggingface_hub, api, repo, revision):
    """The name of the file of weights. FileNotFoundError where there is none, or more than one; other errors where
    there is no such repository, or no answer: at once, for downloads are tried again and again."""
    try:
        api.get_hf_file_metadata(url=huggingface_hub.hf_hub_url(repo, FILE, revision=revision), timeout=PATIENCE)
        return FILE
    except huggingface_hub.errors.EntryNotFoundError:
        info = api.model_info(repo, revision=revision, timeout=PATIENCE)
    names = sorted(sibling.rfilename for sibling in info.siblings or [])
    found = [name for name in names if name.endswith(".safetensors") and "/" not in name]
    if len(found) == 1:
        return found[0]
    others = [name for name in names if name.endswith(FOREIGN)][:5]
    raise FileNotFoundError(
        f"expected {FILE}, or one .safetensors file, got {', '.join(found) or 'none'}; "
        + ("download the one you mean, and name its path" if found else
           f"it has {', '.join(others)}: download that, and naming its path says how to convert it" if others else
           "take another repository"))


def _explained(name, repo, revision, error):
    """The OSError that says in a sentence what an error of the library means."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return PermissionError(f"{name}: expected a repository that is open to you, got a gated one; accept its terms "
                               f"at https://huggingface.co/{repo}, and log in with `hf auth login`")
    if isinstance(error, errors.RepositoryNotFoundError):
        return FileNotFoundError(f"{name}: expected a repository of the hub, got none of the name {repo}, or a private "
                                 "one; correct it, or log in with `hf auth login`")
    if isinstance(error, errors.RevisionNotFoundError):
        return FileNotFoundError(f"{name}: expected a branch, tag or commit of {repo}, got none of the name "
                                 f"{revision}; correct it, or leave it out")
    if type(error) is FileNotFoundError:
        return FileNotFoundError(f"{name}: {error}")
    return ConnectionError(f"{name}: expected to fetch it from the hub, or to find it in its cache, got "
                           f"{reason(error)}; try again with a network, or name a file")
