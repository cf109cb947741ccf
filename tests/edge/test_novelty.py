from __future__ import annotations

import io
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from edge.archive import array_bytes, pack, unpack
from edge.errors import BundleError
from edge.novelty import About, HeldScore, Novelty, frames_of

NAME = Path("own.msk: novelty.npz")
PARTS = ("about.json", *(f"{n}.npy" for n in ("centre", "scale", "components", "metric", "prototypes", "radius")))
WINDOW, FEATURES = 6, 3


def made(seed: int = 0, *, window: int = WINDOW, hold_s: float = 1.0, settle_s: float = 0.0) -> Novelty:
    """Some score: two components, five prototypes."""
    rng = np.random.default_rng(seed)
    frames = len(range(window)[frames_of(window)])
    return Novelty(
        About(
            window=window,
            features=FEATURES,
            components=2,
            prototypes=5,
            groups=3,
            flagged=0.01,
            hold_s=hold_s,
            settle_s=settle_s,
        ),
        centre=rng.normal(size=(frames, FEATURES)),
        scale=rng.uniform(0.5, 2.0, (frames, FEATURES)),
        components=np.linalg.qr(rng.normal(size=(frames * FEATURES, 2)))[0].T.copy(),
        metric=rng.normal(size=(3, 3)) + 2.0 * np.eye(3),
        prototypes=rng.normal(size=(5, 3)),
        radius=rng.uniform(0.5, 1.5, 5),
    )


def by_definition(novelty: Novelty, window: np.ndarray) -> float:
    """The nearest ball's centre, in units of its radius, prototype by prototype."""
    parts = unpack(novelty.to_bytes(), NAME, kind="score", error=BundleError, required=PARTS)
    loaded = {name[:-4]: np.lib.format.read_array(io.BytesIO(parts[name])) for name in PARTS[1:]}
    x = ((window[frames_of(len(window))] - loaded["centre"]) / loaded["scale"]).ravel()
    inside = loaded["components"] @ x
    outside = np.linalg.norm(x - loaded["components"].T @ inside)
    place = loaded["metric"] @ np.append(inside, outside)
    return float(min(np.linalg.norm(loaded["prototypes"] - place, axis=1) / loaded["radius"]))


@settings(max_examples=50)
@given(npst.arrays(np.float32, (4, WINDOW, FEATURES), elements=st.floats(-100, 100, width=32)))
def test_it_is_the_distance_from_the_nearest_ball_in_its_radii(windows: np.ndarray) -> None:
    novelty = made()
    wanted = [by_definition(novelty, window) for window in windows.astype(np.float64)]
    before = windows.copy()
    np.testing.assert_allclose([novelty.score(window) for window in windows], wanted, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(novelty.scores(windows), wanted, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(windows, before)


def test_what_one_window_says_does_not_depend_on_the_one_before() -> None:
    novelty, windows = made(), np.random.default_rng(1).normal(size=(20, WINDOW, FEATURES))
    there = [novelty.score(window) for window in windows]
    assert there[::-1] == [novelty.score(window) for window in windows[::-1]]
    assert len(set(there)) == 20
    assert novelty.scores(windows[:0]).shape == (0,)


def test_no_number_is_as_new_as_can_be_and_so_is_one_beyond_all_bounds() -> None:
    novelty, window = made(), np.zeros((WINDOW, FEATURES))
    for wrong, least in ((np.nan, np.inf), (np.inf, 1e5), (-np.inf, 1e5), (1e300, 1e5)):
        window[2, 1] = wrong
        assert novelty.score(window) >= least
        assert novelty.scores(np.stack([np.zeros_like(window), window]))[1] >= least
    window[2, 1] = 0.0
    assert np.isfinite(novelty.score(window))


@given(st.integers(1, 1000))
def test_at_most_twenty_frames_are_looked_at_and_the_newest_always(window: int) -> None:
    frames = range(window)[frames_of(window)]
    assert frames[-1] == window - 1
    assert len(frames) <= 20
    assert window > 20 or len(frames) == window
    assert len(frames) >= min(window, 10)


@pytest.mark.parametrize("window", [WINDOW, 50])
def test_it_comes_back_from_its_bytes_and_has_always_the_same(window: int) -> None:
    novelty = made(window=window)
    content = novelty.to_bytes()
    again = Novelty.from_bytes(content, NAME)
    assert again.to_bytes() == content == made(window=window).to_bytes()
    sample = np.random.default_rng(2).normal(size=(window, FEATURES))
    assert again.score(sample) == novelty.score(sample)
    assert again.about.window == window


def changed(part: str, change: Callable[[bytes], bytes]) -> bytes:
    parts = unpack(made().to_bytes(), NAME, kind="score", error=BundleError, required=PARTS)
    return pack({**parts, part: change(parts[part])})


def about(**fields: object) -> Callable[[bytes], bytes]:
    return lambda content: json.dumps({**json.loads(content), **fields}).encode()


def with_array(name: str, array: np.ndarray) -> bytes:
    """With another array and its right hash."""
    parts = unpack(made().to_bytes(), NAME, kind="score", error=BundleError, required=PARTS)
    parts[f"{name}.npy"] = array_bytes(array)
    said = json.loads(parts["about.json"])
    said["arrays_sha256"][name] = sha256(parts[f"{name}.npy"]).hexdigest()
    return pack({**parts, "about.json": json.dumps(said).encode()})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (made().to_bytes()[:-40], "is truncated or no novelty score"),
        (pack({"about.json": b"{}"}), "holds no centre.npy"),
        (changed("about.json", lambda _: b"{"), "about.json is not valid JSON"),
        (changed("about.json", lambda _: b"[]"), "`schema` in about.json is not 'edge-msk/novelty'"),
        (changed("about.json", about(version=2)), "`version` is 2, this program reads novelty scores of version 1"),
        (changed("about.json", about(window=0)), "`window` in about.json: Input should be greater than or equal to 1"),
        (changed("about.json", about(prototypes=4)), "an array does not fit about.json"),
        (changed("metric.npy", lambda part: part[:-1] + b"\0"), "metric.npy was altered"),
        (with_array("radius", np.array([1.0, 1.0, 0.0, 1.0, 1.0])), "radius.npy holds 0, less than 1e-09"),
        (with_array("scale", -np.ones((WINDOW, FEATURES))), "scale.npy holds -1, less than 1e-09"),
        (with_array("centre", np.full((WINDOW, FEATURES), np.nan)), "cut off, or not of finite numbers"),
    ],
)
def test_what_is_damaged_is_refused_with_what_to_do(content: bytes, words: str) -> None:
    with pytest.raises(BundleError) as caught:
        Novelty.from_bytes(content, NAME)
    text = str(caught.value)
    assert text.startswith(str(NAME))
    assert words in text
    assert "anew" in text or "it is no edge-msk novelty score" in text


SCORES = st.lists(st.floats(0, 3) | st.just(np.inf), min_size=1, max_size=60)


@given(SCORES, st.integers(0, 6), st.integers(1, 9))
def test_a_held_score_is_the_worst_median_of_late(scores: list[float], settle: int, hold: int) -> None:
    told = made(settle_s=settle / 100, hold_s=hold / 100).about
    own = HeldScore(told, 100.0)
    medians = []
    for i, score in enumerate(scores):
        few = sorted(scores[max(i + 1 - max(settle, 1), 0) : i + 1])
        medians.append(few[len(few) // 2])
        assert own.step(score) == max(medians[-hold:])


def test_a_jolt_is_forgiven_and_a_new_task_refused_at_once_and_for_a_while() -> None:
    own = HeldScore(About(window=20, features=3, components=2, prototypes=5, groups=3, flagged=0.0), 100.0)
    jolt = [0.3] * 100 + [5.0] * 4 + [0.3] * 100
    assert max(own.step(score) for score in jolt) == 0.3
    task = [own.step(score) for score in [2.0] * 50 + [0.3] * 250]
    new = [i for i, score in enumerate(task) if score > 1.0]
    assert new[0] == 4  # 50 ms
    assert new == list(range(new[0], 50 + 5 + 149))  # and until 1.5 s after its last median
