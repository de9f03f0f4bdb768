"""How an image is fitted to the network, and how its boxes come back."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inference_subscriber.engines.letterbox import STRIDE, fit, to_batch

sizes = st.integers(1, 5000)


@given(width=sizes, height=sizes, max_input=st.sampled_from([320, 640, 1280]))
def test_the_input_is_never_larger_than_asked_and_fits_the_stride(width: int, height: int, max_input: int) -> None:
    fitted = fit(width, height, max_input)
    assert 1 <= max(fitted.scaled_width, fitted.scaled_height) <= max_input
    assert all(pixels % STRIDE == 0 and pixels > 0 for pixels in fitted.input_shape)
    assert fitted.input_shape[0] - fitted.scaled_height < STRIDE
    assert fitted.input_shape[1] - fitted.scaled_width < STRIDE


@given(width=sizes, height=sizes, corners=st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_boxes_come_back_to_where_they_were(width: int, height: int, corners: list[float]) -> None:
    fitted = fit(width, height, 640)
    size = np.array([width, height] * 2, np.float32)
    scaled = np.array([fitted.scaled_width, fitted.scaled_height] * 2, np.float32)
    relative = np.array([corners], np.float32)
    np.testing.assert_allclose(fitted.to_image(relative * scaled), relative * size, atol=0.01, rtol=1e-4)


@given(width=sizes, height=sizes, box=st.lists(st.floats(-1e4, 1e4), min_size=4, max_size=4))
def test_boxes_stay_inside_the_frame(width: int, height: int, box: list[float]) -> None:
    x1, y1, x2, y2 = fit(width, height, 640).to_image(np.array([box], np.float32))[0]
    assert 0 <= min(x1, x2) <= max(x1, x2) <= width
    assert 0 <= min(y1, y2) <= max(y1, y2) <= height


def test_an_image_that_fits_is_not_copied() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    assert np.shares_memory(to_batch([image], [fit(640, 480, 640)]), image)


def test_images_of_one_input_shape_share_a_batch() -> None:
    images = [np.full((50, 60, 3), 9, np.uint8), np.full((64, 64, 3), 7, np.uint8)]
    batch = to_batch(images, [fit(60, 50, 640), fit(64, 64, 640)])
    assert batch.shape == (2, 64, 64, 3)
    assert (batch[0, :50, :60] == 9).all()
    assert (batch[0, 50:] == 114).all()
    assert (batch[1] == 7).all()


def test_an_extreme_shape_still_has_a_pixel() -> None:
    image = np.zeros((1, 5000, 3), np.uint8)
    assert to_batch([image], [fit(5000, 1, 640)]).shape == (1, 32, 640, 3)
