"""Files to break, and the ways to break them. Everything derives from the generator it is given."""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib

import numpy as np
from PIL import Image

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40,
            (1 << 63) - 1, (1 << 64) - 1)


# -- ways to break bytes: (rng, content, another file's content) -> bytes --------------------------------------------

def place(rng, content):
    """A position in it; headers come first in most files, so low ones are likelier."""
    return int(len(content) * rng.random() ** rng.choice([1, 1, 2, 4]))


def flip_bits(rng, content, other):
    broken = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        if broken:
            broken[place(rng, broken)] ^= 1 << int(rng.integers(8))
    return bytes(broken)


def cut_short(rng, content, other):
    return content[:place(rng, content)]


def insert(rng, content, other):
    at = place(rng, content)
    return content[:at] + rng.bytes(int(rng.integers(1, 65))) + content[at:]


def remove(rng, content, other):
    at = place(rng, content)
    return content[:at] + content[at + int(rng.integers(1, 65)):]


def splice(rng, content, other):
    return content[:place(rng, content)] + other[place(rng, other):]


def repeat(rng, content, other):
    at, length = place(rng, content), int(rng.integers(1, 257))
    return content[:at] + content[at:at + length] * int(rng.integers(2, 9)) + content[at + length:]


def write_number(rng, content, other):
    """A length or size in a header becomes an extreme one, of 1 to 8 bytes, either way round."""
    at, width = place(rng, content), int(rng.choice([1, 2, 4, 8]))
    number = int(rng.choice(np.array(EXTREMES, np.uint64))) % (1 << 8 * width)
    return content[:at] + number.to_bytes(width, rng.choice(["little", "big"])) + content[at + width:]


WAYS = (flip_bits, cut_short, insert, remove, splice, repeat, write_number)


def broken(rng, content, other):
    """One to three of the ways after each other. The first bytes, by which a file is known, are mostly put right, so
    that a reader does not give up at once."""
    start = content[:int(rng.choice([0, 4, 8, 12]))]
    for _ in range(rng.integers(1, 4)):
        content = WAYS[rng.integers(len(WAYS))](rng, content, other)
    return start + content[len(start):]


# -- files -----------------------------------------------------------------------------------------------------------

def idx(values):
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def packed(content):
    return gzip.compress(content, mtime=0)


def broken_header(rng, content):
    """A safetensors file whose JSON header is edited, its length right again: a reader gets past the first check."""
    length = int.from_bytes(content[:8], "little")
    header, rest = content[8:8 + length].decode(), content[8 + length:]
    for _ in range(rng.integers(1, 4)):
        old, new = [('"F32"', '"F16"'), ('"F32"', '"BF16"'), ('"F32"', '"F8_E4M3"'), ('"F32"', '"X"'), ("[", "[-1,"),
                    ('"shape":[', '"shape":[4294967296,'), ("__metadata__", "__meta__"), ("0", "1"), ("1", "0"),
                    ("2", "99999999999999999999"), ("model/", "optimizer/"), ("}", ""), ("{", "[" * 3000), (":", ","),
                    (r"\"format\": ", r"\"format\": 9"), ("sha256", "sha255")][rng.integers(16)]
        at = header.find(old, place(rng, header))
        if at >= 0:
            header = header[:at] + new + header[at + len(old):]
    return len(header.encode()).to_bytes(8, "little") + header.encode() + rest


def broken_chunk(rng, content):
    """A PNG with a chunk broken inside and its checksum right again."""
    at, chunks = 8, []
    while at + 12 <= len(content):
        length = int.from_bytes(content[at:at + 4], "big")
        chunks.append((at, length))
        at += 12 + length
    at, length = chunks[rng.integers(len(chunks))]
    body = WAYS[rng.choice([0, 6])](rng, content[at + 8:at + 8 + length], b"")    # flips or numbers: the same length
    kind, body = content[at + 4:at + 8], body[:length].ljust(length, b"\0")
    return (content[:at + 8] + body + zlib.crc32(kind + body).to_bytes(4, "big") + content[at + 12 + length:])


def images():
    """{name: content} of small images, each kind of file in the modes it has."""
    rng = np.random.default_rng(0)
    color = Image.fromarray(rng.integers(0, 256, (11, 14, 4), np.uint8), "RGBA")
    wide = Image.fromarray(rng.integers(0, 65536, (11, 14), np.uint16))
    turned = Image.Exif()
    turned[0x0112] = 6
    frames = {"save_all": True, "append_images": [color.convert("P").rotate(90 * k) for k in (1, 2)]}
    kinds = {
        "PNG": {mode: (mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")} | {"I;16": (None, {})},
        "JPEG": {"L": ("L", {}), "RGB": ("RGB", {}), "CMYK": ("CMYK", {}), "turned": ("RGB", {"exif": turned}),
                 "progressive": ("RGB", {"progressive": True})},
        "BMP": {mode: (mode, {}) for mode in ("1", "L", "P", "RGB")},
        "GIF": {"L": ("L", {}), "P": ("P", {}), "frames": ("P", frames)},
        "WEBP": {"RGB": ("RGB", {}), "RGBA": ("RGBA", {"lossless": True})},
        "TIFF": {"L": ("L", {}), "I;16": (None, {}), "RGBA": ("RGBA", {}), "turned": ("RGB", {"exif": turned})} | {
            kind: ("RGB", {"compression": kind}) for kind in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg")}}
    made = {}
    Image.init()
    for kind, modes in kinds.items():
        for name, (mode, settings) in modes.items() if kind in Image.SAVE else ():
            file = io.BytesIO()
            (wide if mode is None else color.convert(mode)).save(file, kind, **settings)
            made[f"{kind.lower()}-{name.replace(';', '')}"] = file.getvalue()
    return made


def dataset():
    """{relative name: content} of a small dataset: two classes, five images in each of train and test."""
    files = {}
    for number, (split, label) in enumerate((s, c) for s in ("train", "test") for c in ("cat", "dog")):
        for k in range(5):
            file = io.BytesIO()
            Image.new("RGB", (6, 5), (50 * k, 60 * number, 100)).save(file, "PNG")
            files[f"{split}/{label}/{k}.png"] = file.getvalue()
    return files


def zipped(files, links=(), compression=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o120777 if name in links else 0o100644) << 16
            archive.writestr(info, content, compression)
    return file.getvalue()


def tarred(files, links=()):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if name in links:
                info.type, info.linkname = tarfile.SYMTYPE, "../../outside"
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return file.getvalue()
