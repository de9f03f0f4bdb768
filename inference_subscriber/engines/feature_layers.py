"""Which layers of an Ultralytics detector give its feature maps: a rule for all its architectures."""

from collections.abc import Callable
from typing import Any

import torch

from inference_subscriber.engines.features import STRIDES

_SIDE = 64


@torch.inference_mode()
def find_feature_layers(network: Any) -> dict[int, int]:
    """Stride and index of the first layer of each stride whose output later layers take up again.

    Those are the backbone's skip connections, which end its stages. A stride that no such layer has is left out.
    """
    sizes: dict[int, int] = {}

    def note(index: int) -> Callable[[Any, Any, Any], None]:
        return lambda layer, taken, given: sizes.__setitem__(index, given.shape[-1])

    handles = [network.model[index].register_forward_hook(note(index)) for index in sorted(network.save)]
    try:
        weights = next(network.parameters())
        network(torch.zeros(1, 3, _SIDE, _SIDE, dtype=weights.dtype, device=weights.device))
    finally:
        for handle in handles:
            handle.remove()
    found: dict[int, int] = {}
    for index, size in sorted(sizes.items()):
        found.setdefault(_SIDE // size, index)
    return {stride: found[stride] for stride in STRIDES if stride in found}
