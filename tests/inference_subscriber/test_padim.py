"""The statistics of good boards, on features made up for the purpose."""

import numpy as np
import pytest

from inference_subscriber.anomaly.calibrating import student_quantile, threshold_of
from inference_subscriber.anomaly.memory import fit_memory, greedy_coreset
from inference_subscriber.anomaly.padim import Floats, fit_gaussians, make_projection, project

SHAPE = (6, 8)
CHANNELS = 12


@pytest.fixture
def chance() -> np.random.Generator:
    return np.random.default_rng(1)


def boards(chance: np.random.Generator, count: int) -> list[Floats]:
    """Half of the places vary ten times as much as the others."""
    mean = np.random.default_rng(7).normal(0, 3, (CHANNELS, 1, 1)) * np.ones(SHAPE)
    spread = np.where(np.arange(SHAPE[1]) < 4, 0.1, 1.0)
    return [np.asarray(mean + spread * chance.normal(size=mean.shape), np.float32) for _ in range(count)]


def test_a_projection_keeps_lengths_of_what_it_spans() -> None:
    projection = make_projection(5, CHANNELS)
    np.testing.assert_allclose(projection @ projection.T, np.eye(5), atol=1e-5)
    np.testing.assert_array_equal(projection, make_projection(5, CHANNELS))


def test_good_boards_are_about_one_away_everywhere(chance: np.random.Generator) -> None:
    projection = make_projection(6, CHANNELS)
    scorer = fit_gaussians(projection, np.stack([project(projection, each) for each in boards(chance, 80)]), SHAPE)
    distances = np.stack([scorer.distances(each) for each in boards(chance, 40)])
    assert distances.shape == (40, *SHAPE)
    usual = distances.mean(axis=0)
    assert 0.4 < usual.min() < usual.max() < 1.3


@pytest.mark.parametrize("place", [(2, 1), (3, 6)])
def test_a_change_counts_by_how_much_its_place_varies(chance: np.random.Generator, place: tuple[int, int]) -> None:
    projection = make_projection(6, CHANNELS)
    scorer = fit_gaussians(projection, np.stack([project(projection, each) for each in boards(chance, 40)]), SHAPE)
    odd = boards(chance, 1)[0]
    odd[:, place[0], place[1]] += 1.0
    jump = scorer.distances(odd).max()
    assert jump > 3 if place[1] < 4 else jump < 2.5


def test_fewer_boards_than_dimensions_still_have_a_covariance(chance: np.random.Generator) -> None:
    projection = make_projection(10, CHANNELS)
    scorer = fit_gaussians(projection, np.stack([project(projection, each) for each in boards(chance, 5)]), SHAPE)
    assert np.isfinite(scorer.distances(boards(chance, 1)[0])).all()


def test_places_that_never_vary_do_not_divide_by_zero() -> None:
    projection = make_projection(4, CHANNELS)
    same = np.ones((CHANNELS, *SHAPE), np.float32)
    scorer = fit_gaussians(projection, np.stack([project(projection, same)] * 5), SHAPE)
    assert np.isfinite(scorer.distances(same)).all()


def test_a_memory_knows_what_it_has_seen_wherever_it_lies(chance: np.random.Generator) -> None:
    projection = make_projection(8, CHANNELS)
    seen = boards(chance, 20)
    memory = fit_memory(projection, np.stack([project(projection, each) for each in seen]), 400)
    moved = np.roll(seen[0], 3, axis=2)
    odd = moved.copy()
    odd[:, 3, 3] += 9
    assert memory.distances(moved).max() < memory.distances(odd).max() / 2
    assert np.unravel_index(memory.distances(odd).argmax(), SHAPE)[0] in {2, 3, 4}


def test_a_coreset_leaves_nothing_far_away(chance: np.random.Generator) -> None:
    points = np.concatenate([chance.normal(centre, 0.1, (50, 2)) for centre in (0, 5, 10)]).astype(np.float32)
    chosen, nearest = greedy_coreset(points, 3)
    assert {index // 50 for index in chosen} == {0, 1, 2}
    assert nearest.max() < 1
    assert len(set(chosen)) == 3


@pytest.mark.parametrize(("freedom", "share", "expected"), [(9, 0.975, 2.262), (19, 0.995, 2.861), (59, 0.99, 2.391)])
def test_quantiles_of_student(freedom: int, share: float, expected: float) -> None:
    assert student_quantile(share, freedom) == pytest.approx(expected, abs=0.01)


def test_the_threshold_keeps_its_rate(chance: np.random.Generator) -> None:
    """Thirty good boards say where one in twenty lies, over many stations."""
    calls = [
        (np.exp(chance.normal(0.5, 0.2, 200)) > threshold_of(np.exp(chance.normal(0.5, 0.2, 30)).tolist(), 0.05)).mean()
        for _ in range(200)
    ]
    assert 0.02 < np.mean(calls) < 0.06


def test_fewer_boards_give_a_more_careful_threshold() -> None:
    few, many = [1.0, 1.2, 1.1, 0.9, 1.3], [1.0, 1.2, 1.1, 0.9, 1.3] * 10
    assert threshold_of(few, 0.01) > threshold_of(many, 0.01) > 1.3


def test_whitened_samples_are_white(chance: np.random.Generator) -> None:
    projection = make_projection(6, CHANNELS)
    samples = np.stack([project(projection, each) for each in boards(chance, 400)])
    scorer = fit_gaussians(projection, samples, SHAPE)
    white = np.einsum("ijp,njp->nip", scorer.whitening, samples - scorer.mean)[:, :, 7 + 8 * 3]
    np.testing.assert_allclose(np.cov(white.T), np.eye(6), atol=0.25)
