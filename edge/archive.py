"""A zip of named parts, as our own files are: the same content gives the same bytes, and damage is refused in words."""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.errors import EdgeMskError

FloatArray = npt.NDArray[np.float64]

LARGEST_PART = 256 * 2**20  # bytes; a file that announces more is none of ours but an attack on the memory
LARGEST_TOTAL = 512 * 2**20  # bytes, of all parts that are read
_EPOCH = (1980, 1, 1, 0, 0, 0)

# What zipfile and its decompressors raise for bytes that are no zip, or a damaged one.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)


def pack(parts: Mapping[str, bytes]) -> bytes:
    """The file's content: the parts in their order, compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in parts.items():
            info = zipfile.ZipInfo(name, date_time=_EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def unpack(
    content: bytes,
    path: Path,
    *,
    kind: str,
    error: type[EdgeMskError],
    required: Sequence[str],
    optional: Sequence[str] = (),
    largest: int = LARGEST_PART,
    total: int = LARGEST_TOTAL,
) -> dict[str, bytes]:
    """The parts by name; others are left unread.

    path, kind (such as "bundle"): for messages. Raises `error` for what is no zip, damaged, lacks a part, or holds one of more
    than `largest` bytes, or more than `total` together.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = {info.filename: info for info in archive.infolist()}
            missing = [p for p in required if p not in infos]
            if missing:
                raise error(f"{path}: holds no {missing[0]}: it is no edge-msk {kind}, or only a part of one")
            there = [*required, *(p for p in optional if p in infos)]
            large = [p for p in there if infos[p].file_size > largest]
            if large:
                raise error(f"{path}: {large[0]} is larger than {largest >> 20} MiB: it is no edge-msk {kind}")
            if sum(infos[p].file_size for p in there) > total:
                raise error(f"{path}: its parts are larger than {total >> 20} MiB together: it is no edge-msk {kind}")
            return {p: archive.read(p) for p in there}
    except _UNREADABLE as problem:
        raise error(
            f"{path}: is truncated or no {kind} ({problem}): copy it again, or take it away and make it anew"
        ) from None


def array_bytes(array: FloatArray) -> bytes:
    """float64, exactly, as NumPy's .npy."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array, dtype="<f8"), allow_pickle=False)
    return buffer.getvalue()


def array_from_bytes(content: bytes, shape: tuple[int, ...]) -> FloatArray:
    """The inverse; raises ValueError for bytes that are no such array of finite numbers, or not of this shape."""
    buffer = io.BytesIO(content)
    if np.lib.format.read_magic(buffer) != (1, 0):
        raise ValueError("of another .npy version")
    found, fortran, dtype = np.lib.format.read_array_header_1_0(buffer)
    if found != shape or fortran or dtype != np.dtype("<f8"):
        raise ValueError(f"an array {found} of {dtype}, not {shape} of float64")
    array = np.frombuffer(content, dtype="<f8", offset=buffer.tell())
    if array.size != int(np.prod(shape)) or not np.isfinite(array).all():
        raise ValueError("cut off, or not of finite numbers")
    return array.reshape(shape).astype(np.float64)
