"""PaDiM: a Gaussian over the features of good boards at every place (Defard et al. 2020).

Features are reduced by a random semi-orthogonal projection (Kim et al. 2021, "Semi-orthogonal embedding"). A place's
covariance is averaged with its neighbours', shrunk towards the shape that all places have in common at its own scale,
by as much as Ledoit and Wolf's estimate says, and widened by what a part that lies a pixel aside would change.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference_subscriber.engines.features import FeatureMap

Floats = npt.NDArray[np.float32]
Grid = npt.NDArray[np.float32]
"""A number for each place, height x width."""

_SEED = 0
_FLOOR = 0.03  # of the mean covariance: what no good board moves may still move a little on the next
_ASIDE = 0.125  # of a place: one pixel at stride 8
_RIDGE = 1e-6  # of the mean variance: keeps a covariance invertible
_NEIGHBOURS = (3, 3)
_ALONE = 2**18  # multiplications that OpenBLAS does on one thread; on busy cores its second costs 10 ms and more


@dataclass(frozen=True, slots=True, eq=False)
class Gaussians:
    """One Gaussian for each place of a feature map.

    Args:
        projection: (dimensions, channels), orthonormal rows.
        mean: (dimensions, places).
        whitening: (dimensions, dimensions, places), the inverses of the covariances' Cholesky factors.
        shape: height and width of the map.
    """

    projection: Floats
    mean: Floats
    whitening: Floats
    shape: tuple[int, int]

    def distances(self, features: FeatureMap) -> Grid:
        """Mahalanobis distance of each place to its good boards, about 1 for a good one, over its neighbours."""
        return self.of(project(self.projection, features), self.shape)

    def of(self, projected: Floats, shape: tuple[int, ...]) -> Grid:
        """As `distances`, of projected features (dimensions, places) of a map of this height and width."""
        away = projected - self.mean
        squares = np.zeros(away.shape[1], np.float32)
        for row, weights in enumerate(self.whitening, 1):  # lower triangles
            part = np.einsum("jp,jp->p", weights[:row], away[:row])
            squares += part * part
        return smooth(squares.reshape(shape) / np.float32(len(away)))


def project(projection: Floats, features: FeatureMap) -> Floats:
    """Features (channels, height, width) in fewer dimensions, (dimensions, places); as they are if they are reduced."""
    flat = features.reshape(len(features), -1)
    if len(features) == len(projection) < projection.shape[1]:
        return flat
    reduced = np.empty((len(projection), flat.shape[1]), np.float32)
    piece = max(1, _ALONE // projection.size)
    for start in range(0, flat.shape[1], piece):
        np.matmul(projection, flat[:, start : start + piece], out=reduced[:, start : start + piece])
    return reduced


def smooth(squares: Grid) -> Grid:
    """The root of squared distances, averaged over neighbouring places: one noisy place is no defect."""
    return np.asarray(np.sqrt(cv2.blur(squares, _NEIGHBOURS)), np.float32)


def make_projection(dimensions: int, channels: int) -> Floats:
    """A random projection with orthonormal rows (dimensions, channels); the same each time."""
    random = np.random.default_rng(_SEED).normal(size=(channels, min(dimensions, channels)))
    return np.ascontiguousarray(np.linalg.qr(random)[0].T, np.float32)


def fit_gaussians(projection: Floats, samples: Floats, shape: tuple[int, int]) -> Gaussians:
    """Fit to projected features of good boards, (boards, dimensions, places); at least two boards."""
    mean = samples.mean(axis=0)
    away = np.ascontiguousarray((samples - mean).transpose(2, 0, 1))
    covariances = _with_neighbours(away.transpose(0, 2, 1) @ away / np.float32(len(samples) - 1), shape)
    scales = np.trace(covariances, axis1=1, axis2=2)[:, None, None] + np.float32(1e-12)
    shape_of_all = (covariances / scales).mean(axis=0)
    share = shrinkage(away / np.sqrt(scales), covariances / scales, shape_of_all)
    shrunk = (1 - share) * covariances + share * scales * shape_of_all
    shrunk += _aside(mean, shape)
    shrunk += _FLOOR * covariances.mean(axis=0) + _RIDGE * scales.mean() * np.eye(shrunk.shape[1])
    return Gaussians(projection, mean, _whitening(shrunk), shape)


def _whitening(covariances: npt.NDArray[np.floating]) -> Floats:
    """Inverses of the Cholesky factors of many small matrices (places, n, n), as (n, n, places).

    All places at once: one LAPACK call for each costs a hundred times as much on a busy machine.
    """
    rest = np.ascontiguousarray(covariances.transpose(1, 2, 0), np.float64)
    count = len(rest)
    factor, inverse = np.zeros_like(rest), np.zeros_like(rest)
    for i in range(count):
        factor[i, i] = np.sqrt(rest[i, i] - (factor[i, :i] ** 2).sum(axis=0))
        below = rest[i + 1 :, i] - np.einsum("jkp,kp->jp", factor[i + 1 :, :i], factor[i, :i])
        factor[i + 1 :, i] = below / factor[i, i]
        inverse[i, i] = 1 / factor[i, i]
        inverse[i, :i] = -inverse[i, i] * np.einsum("kp,kjp->jp", factor[i, :i], inverse[:i, :i])
    return np.asarray(inverse, np.float32)


def _with_neighbours(covariances: Floats, shape: tuple[int, int]) -> Floats:
    """Half each place's own (places, dimensions, dimensions), half the mean of the nine around it."""
    planes = np.ascontiguousarray(covariances.reshape(*shape, -1).transpose(2, 0, 1))
    around = np.stack([cv2.blur(plane, _NEIGHBOURS) for plane in planes])
    return np.asarray((planes + around).reshape(len(planes), -1).T.reshape(covariances.shape) / 2, np.float32)


def _aside(mean: Floats, shape: tuple[int, int]) -> Floats:
    """Covariance of a good board that lies aside by `_ASIDE` places, as the slope of the mean has it."""
    down, across = (
        _ASIDE * each.reshape(len(mean), -1).T for each in np.gradient(mean.reshape(-1, *shape), axis=(1, 2))
    )
    moved = across[:, :, None] * across[:, None] + down[:, :, None] * down[:, None]
    return np.asarray(moved, np.float32)


def shrinkage(away: Floats, covariances: Floats, common: Floats) -> float:
    """How far to go from each place's own covariance to the common one, 0 to 1 (Ledoit and Wolf 2004).

    Args:
        away: (places, boards, dimensions), less the mean, at a total variance of one.
        covariances: (places, dimensions, dimensions), of the same.
    """
    lengths: Floats = (away**2).sum(axis=2)
    noise = (lengths**2).mean() - (covariances**2).sum(axis=(1, 2)).mean()
    spread = ((covariances - common) ** 2).sum(axis=(1, 2)).mean()
    return float(np.clip(noise / away.shape[1] / (spread + 1e-12), 0, 1))
