"""Whether two networks see a movement alike: their hidden features, laid out, laid over each other, and told apart by phase.

The second paper (Ma et al. 2025, arXiv 2511.10878) shows t-SNE of the features of a supervised and a physics-informed network.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from train.experiments.smoothness import pieces
from train.material import Material
from train.networks import Network
from train.splits import cycle_starts

FloatArray = npt.NDArray[np.float64]

_PHASES = 8  # as many as gait analysis tells apart in a stride
_PERPLEXITY = 30.0
_AT_ONCE = 4096


def hidden_features(network: Network, material: Material) -> FloatArray:
    """What the network's dense layers get, (windows, width), each column centred and all scaled to unit variance together."""
    network.eval()
    inputs = torch.from_numpy(np.ascontiguousarray(material.windows.feature, dtype=np.float32))
    with torch.inference_mode():
        found = torch.cat([network.hidden(inputs[i : i + _AT_ONCE]) for i in range(0, len(inputs), _AT_ONCE)])
    features = found.numpy().astype(np.float64)
    features -= features.mean(axis=0)
    return np.asarray(features / max(float(np.sqrt((features**2).sum(axis=1).mean())), 1e-12))


def procrustes_similarity(one: FloatArray, other: FloatArray) -> float:
    """1 for clouds (n, d) and (n, e) that are the same but for place, size and rotation (mirrored too); 0 for unrelated ones.

    Squared: the share of the one's variance that the other explains (`scipy.spatial.procrustes`). The narrower cloud is
    given columns of zeros. Unrelated clouds of few points in many dimensions are alike by chance: compare with a control.
    """
    from scipy.spatial import procrustes

    width = max(one.shape[1], other.shape[1])
    both = [np.pad(cloud, ((0, 0), (0, width - cloud.shape[1]))) for cloud in (one, other)]
    return float(1.0 - procrustes(*both)[2])


def lay_out(features: FloatArray, seed: int = 0) -> FloatArray:
    """t-SNE (n, 2) of features (n, width), beginning with their principal components."""
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(features) - 1) / 3.0)
    return np.asarray(
        TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1).fit_transform(features), dtype=np.float64
    )


def cycle_phase(material: Material) -> FloatArray:
    """How much of its stride lies behind each window's moment, 0 to 1; NaN before the first and after the last whole one."""
    phase = np.full(len(material), np.nan)
    for s, stretch in enumerate(material.stretches):
        own = np.flatnonzero(material.windows.stretch == s)
        starts = cycle_starts(stretch.trial)
        if len(own) and len(starts) > 1:
            strides = np.interp(material.windows.time_s[own], starts, np.arange(len(starts)), left=np.nan, right=np.nan)
            phase[own] = np.mod(strides, 1.0)
    return phase


def separation(features: FloatArray, phase: FloatArray) -> float:
    """Silhouette (-1 to 1) of eight equal parts of the stride: how far the features tell its phases apart."""
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(features, np.minimum((phase * _PHASES).astype(int), _PHASES - 1)))


def mean_step(features: FloatArray, material: Material) -> float:
    """Distance of the features of two moments that follow each other, over that of any two: small for a smooth course.

    Root mean squares; the windows must not be thinned.
    """
    steps = np.concatenate([np.diff(features[piece], axis=0) for piece in pieces(material)])
    apart = 2.0 * float(((features - features.mean(axis=0)) ** 2).sum(axis=1).mean())
    return float(np.sqrt((steps**2).sum(axis=1).mean() / max(apart, 1e-30)))
