"""Features of good boards, wherever they were seen: for boards that lie or look different each time.

A memory bank thinned out to a greedy coreset, and the distance to its nearest entry (PatchCore, Roth et al. 2022).
"""

from dataclasses import dataclass

import numpy as np

from inference_subscriber.anomaly.padim import Floats, Grid, project, smooth
from inference_subscriber.engines.features import FeatureMap

_SEED = 0
_MOST_CANDIDATES = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What good boards look like, place unknown.

    Args:
        projection: (dimensions, channels), orthonormal rows.
        entries: (entries, dimensions).
        scale: usual distance of a good board's place to the nearest entry.
    """

    projection: Floats
    entries: Floats
    scale: float

    def distances(self, features: FeatureMap) -> Grid:
        """Distance of each place to the nearest entry, about 1 for a good board, over its neighbours."""
        return self.of(project(self.projection, features), features.shape[1:])

    def of(self, projected: Floats, shape: tuple[int, ...]) -> Grid:
        """As `distances`, of projected features (dimensions, places) of a map of this height and width."""
        squares = self._nearest(projected) / np.float32(self.scale**2)
        return smooth(squares.reshape(shape))

    def _nearest(self, places: Floats) -> Floats:
        """Squared distances, (places)."""
        lengths = (self.entries**2).sum(axis=1)
        nearest = (lengths[:, None] - 2 * (self.entries @ places)).min(axis=0)
        return np.asarray(np.maximum(nearest + (places**2).sum(axis=0), 0), np.float32)


def fit_memory(projection: Floats, samples: Floats, entries: int) -> Memory:
    """Remember projected features of good boards, (boards, dimensions, places)."""
    places = np.ascontiguousarray(samples.transpose(0, 2, 1).reshape(-1, samples.shape[1]))
    random = np.random.default_rng(_SEED)
    candidates = places[random.permutation(len(places))[:_MOST_CANDIDATES]]
    chosen, away = greedy_coreset(candidates, min(entries, len(candidates)))
    return Memory(projection, candidates[chosen], float(np.sqrt(np.mean(away))) or 1.0)


def greedy_coreset(points: Floats, count: int) -> tuple[list[int], Floats]:
    """Indices of points that leave no other far away, each the farthest from those before it (k-centre greedy).

    Also gives the squared distance of every point to the nearest of them.
    """
    lengths = (points**2).sum(axis=1)
    chosen, nearest = [0], np.full(len(points), np.inf, np.float32)
    while True:
        latest = chosen[-1]
        nearest = np.minimum(nearest, np.maximum(lengths - 2 * (points @ points[latest]) + lengths[latest], 0))
        if len(chosen) == count:
            return chosen, nearest
        chosen.append(int(nearest.argmax()))
