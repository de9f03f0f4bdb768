"""Where pictures come from: the abstract device in `base`, its forms beside it, found by `open_source`."""

from edge_publisher.sources.base import CameraGone, CaptureRequest, Picture, Source, View
from edge_publisher.sources.opening import open_source

__all__ = ["CameraGone", "CaptureRequest", "Picture", "Source", "View", "open_source"]
