"""Class names as model files carry them."""

import ast
from pathlib import Path

from pcb_bus.errors import ConfigError


def parse_class_names(text: str, path: Path) -> tuple[str, ...]:
    """From the metadata of `path`: Ultralytics writes a dictionary, OpenVINO's converter the names between spaces.

    Raises:
        ConfigError: neither.
    """
    if not text.lstrip().startswith("{"):
        return tuple(text.split())
    try:
        names = ast.literal_eval(text)
        return tuple(str(names[index]) for index in sorted(names))
    except (ValueError, SyntaxError, TypeError):
        raise ConfigError(f"inference.model: {path} has unreadable class names: {text[:80]}") from None


def no_class_names(path: Path) -> ConfigError:
    return ConfigError(f"inference.model: {path} does not name its classes (metadata `names`)")
