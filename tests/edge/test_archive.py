from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from edge.archive import array_bytes, array_from_bytes, pack, unpack
from edge.errors import FileError

NAME = Path("a.thing")
PARTS = {"one": b"first", "two": b"second" * 50}


def opened(content: bytes, **changes: object) -> dict[str, bytes]:
    arguments = {"kind": "thing", "error": FileError, "required": ("one", "two"), **changes}
    return unpack(content, NAME, **arguments)  # type: ignore[arg-type]


def test_what_is_packed_comes_back_and_has_always_the_same_bytes() -> None:
    assert opened(pack(PARTS)) == PARTS
    assert pack(PARTS) == pack(dict(PARTS))
    with zipfile.ZipFile(io.BytesIO(pack(PARTS))) as archive:
        assert archive.namelist() == list(PARTS)
        assert {info.date_time[0] for info in archive.infolist()} == {1980}


def test_optional_parts_come_where_they_are_and_others_are_left_alone() -> None:
    content = pack({**PARTS, "three": b"3", "four": b"4"})
    assert opened(content, optional=("three", "five")) == {**PARTS, "three": b"3"}


@pytest.mark.parametrize(
    ("content", "changes", "words"),
    [
        (pack({"one": b""}), {}, "a.thing: holds no two: it is no edge-msk thing"),
        (pack(PARTS), {"largest": 100}, "a.thing: two is larger than 0 MiB"),
        (pack(PARTS), {"total": 304}, "a.thing: its parts are larger than 0 MiB together"),
        (b"", {}, "a.thing: is truncated or no thing"),
        (pack(PARTS)[:-30], {}, "a.thing: is truncated or no thing"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(content: bytes, changes: dict[str, object], words: str) -> None:
    with pytest.raises(FileError) as caught:
        opened(content, **changes)
    assert words in str(caught.value)


@given(st.binary(max_size=100))
def test_any_bytes(content: bytes) -> None:
    with pytest.raises(FileError):
        opened(content)


@given(npst.arrays(np.float64, (3, 2), elements=st.floats(allow_nan=False, allow_infinity=False)))
def test_every_bit_of_an_array_comes_back(array: np.ndarray) -> None:
    content = array_bytes(array)
    assert array_from_bytes(content, (3, 2)).tobytes() == array.tobytes()
    np.testing.assert_array_equal(np.load(io.BytesIO(content)), array)


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY\x02\x00" + bytes(100),
        saved(np.zeros((2, 2))),
        saved(np.zeros((3, 2), dtype=np.float32)),
        saved(np.asfortranarray(np.zeros((3, 2)))),
        saved(np.array([[object(), 1]] * 3)),
        saved(np.full((3, 2), np.nan)),
        saved(np.zeros((3, 2)))[:-1],
        saved(np.zeros((3, 2))) + bytes(8),
        saved(np.zeros((3, 2))).replace(b"(3, 2)", b"(3, 9)"),
    ],
)
def test_other_arrays_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        array_from_bytes(content, (3, 2))
