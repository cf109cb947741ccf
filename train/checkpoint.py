"""Checkpoints: a training's state between two steps, from which it goes on as if it had never stopped.

A file is a line that names the format, the SHA-256 of the rest, and the rest as `torch.save` writes it. It replaces the one
before as a whole, on the disk before in the folder: kill -9 or a power cut leaves one or the other.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edge.errors import FileError
from edge.storage import atomic_file

_FORMAT = b"edge-msk training 1\n"
_DIGEST_BYTES = 32

State = dict[str, Any]  # tensors, numbers, texts, and lists and dictionaries of them: what `weights_only` reads


class OtherTrainingError(FileError):
    """A checkpoint is of another training. differing: in what, in words."""

    def __init__(self, path: Path, differing: str) -> None:
        super().__init__(
            f"{path}: is the checkpoint of another training: {differing}: give back what it was made with, name another "
            "checkpoint, or delete it to train from the start"
        )
        self.differing = differing


@dataclass(frozen=True)
class Checkpoint:
    """Where a training keeps its state. identity: all that the outcome depends on, name -> value; names have dots."""

    path: Path
    identity: Mapping[str, Any]

    def write(self, state: State) -> None:
        """Raises FileError."""
        buffer = io.BytesIO()
        torch.save({"identity": dict(self.identity), "state": state}, buffer)
        content = buffer.getbuffer()
        with atomic_file(self.path) as temporary, temporary.open("wb") as file:
            file.write(_FORMAT + hashlib.sha256(content).digest())
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> State | None:
        """The state kept; None when there is none yet.

        Raises FileError for a file that is damaged or none of ours, OtherTrainingError for one of another training.
        """
        if not self.path.exists():
            return None
        kept = _content(self.path)
        differing = list(_differences(kept["identity"], self.identity))
        if differing:
            raise OtherTrainingError(self.path, "; ".join(differing))
        state: State = kept["state"]
        return state


def _content(path: Path) -> State:
    damaged = f"{path}: is damaged or no checkpoint of a training: delete it to train from the start, or name another"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror}): check the path and its permissions") from None
    digest, rest = content[len(_FORMAT) :][:_DIGEST_BYTES], content[len(_FORMAT) + _DIGEST_BYTES :]
    if not content.startswith(_FORMAT) or hashlib.sha256(rest).digest() != digest:
        raise FileError(damaged)
    try:
        kept: State = torch.load(io.BytesIO(rest), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError):  # whole as it is, but not written by us
        raise FileError(damaged) from None
    return kept


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    """What differs, in words. Of digests only the name tells anything."""
    for name in [*here, *(n for n in there if n not in here)]:
        old, new = there.get(name), here.get(name)
        if old == new:
            continue
        if any(isinstance(value, str) and len(value) == 2 * _DIGEST_BYTES for value in (old, new)):
            yield f"{name} differ"
        else:
            yield f"{name} is {old} there and {new} here"


def digest(*values: Any) -> str:
    """SHA-256 of tensors, plain values, and dataclasses, dictionaries and sequences of them, names and types included."""
    sha = hashlib.sha256()
    for value in values:
        _feed(sha, value)
    return sha.hexdigest()


def _feed(sha: Any, value: Any) -> None:
    if is_dataclass(value) and not isinstance(value, type):
        parts: list[Any] = [(field.name, getattr(value, field.name)) for field in fields(value)]
    elif isinstance(value, Mapping):
        parts = list(value.items())
    elif isinstance(value, list | tuple):
        parts = list(value)
    elif isinstance(value, Tensor):
        # As bytes, for NumPy does not know every type; a tensor without elements cannot be seen so.
        whole = value.detach().cpu().contiguous().reshape(-1)
        sha.update(f"{value.dtype}{tuple(value.shape)}".encode())
        sha.update(whole.view(torch.uint8).numpy() if value.numel() else b"")
        return
    else:
        parts = list(vars(value).items()) if hasattr(value, "__dict__") else []
        if not parts:
            text = repr(value).encode()
            sha.update(f"{type(value).__name__} {len(text)} ".encode() + text)
            return
    sha.update(f"{type(value).__name__} of {len(parts)} ".encode())
    for part in parts:
        _feed(sha, part)


def network_identity(network: nn.Module) -> dict[str, Any]:
    """What tells networks apart: how they are built, and the weights they begin with."""
    told = {
        name: getattr(network, name, None) for name in ("architecture", "window", "look_ahead", "bounded", "outputs")
    }
    return {
        **{f"network.{name}": value for name, value in told.items() if value is not None},
        "the network's layers": digest(str(network), [(n, tuple(p.shape)) for n, p in network.state_dict().items()]),
        "the network's first weights": digest(dict(network.state_dict())),
    }
