"""From the settings to a store of pictures."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import fsspec

from pcb_bus.errors import ConfigError
from recorder.images.base import Images
from recorder.images.local import ImageStore
from recorder.images.remote import RemoteImages

KEY = "recorder.images"
ImageOptions = Mapping[str, Any]
_EXTRAS = {"s3": "s3", "s3a": "s3"}
_PATIENCE_S = 3
# What each driver takes for a server that hangs: its own patience is minutes, and a request given up blocks the next.
_S3: ImageOptions = {
    "config_kwargs": {"connect_timeout": _PATIENCE_S, "read_timeout": _PATIENCE_S, "retries": {"max_attempts": 0}}
}
_DEFAULTS = {"s3": _S3, "s3a": _S3}
_MAY_BE_SHOWN = frozenset({"endpoint_url", "region_name", "host", "port"})
_SHORTEST_SECRET = 4


def local_folder(place: str) -> Path | None:
    """The folder of this machine that `place` names: a path, or `file://` and one. None for anything else."""
    if "://" not in place:
        return Path(place)
    parts = urlsplit(place)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def open_images(place: str, options: ImageOptions) -> Images:
    """The store at `place`: a folder, which is made, or any URL of fsspec with the options of its file system.

    Raises:
        ConfigError: it can never be used; one line that names the key.
    """
    folder = local_folder(place)
    if folder is None:
        return _remote(place, options)
    if place.startswith("file://") and (urlsplit(place).netloc or not folder.is_absolute()):
        raise ConfigError(f"{KEY}: a folder of this machine is written file:///folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{KEY}: cannot make the folder {folder}: {error.strerror}") from None
    return ImageStore(folder)


def _remote(place: str, options: ImageOptions) -> Images:
    scheme = place.partition("://")[0]
    if not place.partition("://")[2].strip("/") and scheme != "memory":
        raise ConfigError(f"{KEY}: a {scheme} URL names where, as in {scheme}://bucket/prefix")
    if scheme not in fsspec.available_protocols():
        raise ConfigError(f"{KEY}: unknown scheme {scheme}; use a folder, file:///folder or s3://bucket/prefix")
    try:
        system, root = fsspec.core.url_to_fs(place, **{**_DEFAULTS.get(scheme, {}), **options})
    except ImportError:
        extra = _EXTRAS.get(scheme)
        hint = f"pip install 'boardline[{extra}]'" if extra else f"install the fsspec driver of {scheme}"
        raise ConfigError(f"{KEY}: {scheme} needs a package that is missing: {hint}") from None
    except (ValueError, TypeError, KeyError, OSError, RuntimeError) as error:
        # Not its text, which may quote an option, and an option may be a secret.
        raise ConfigError(
            f"{KEY}: {scheme} cannot be opened with recorder.image_options ({type(error).__name__})"
        ) from None
    secrets = {*_secrets(options), unquote(urlsplit(place).password or "")}
    return RemoteImages(system, root, secrets={each for each in secrets if len(each) >= _SHORTEST_SECRET})


def _secrets(options: ImageOptions) -> Iterator[str]:
    """What may be one among the options: each text that is not known to be none."""
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from _secrets(value)
        elif isinstance(value, str) and key not in _MAY_BE_SHOWN:
            yield value
