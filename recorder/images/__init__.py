"""The evidence pictures, named by their content: the same picture twice is one file."""

from recorder.images.base import Images, StoredImage
from recorder.images.local import ImageStore
from recorder.images.opening import ImageOptions, local_folder, open_images
from recorder.images.remote import RemoteImages

__all__ = ["ImageOptions", "ImageStore", "Images", "RemoteImages", "StoredImage", "local_folder", "open_images"]
