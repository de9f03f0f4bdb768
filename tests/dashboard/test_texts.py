"""Both languages say everything, and nothing that nobody asks for."""

import re
from pathlib import Path
from typing import get_args

import pytest

import dashboard
from dashboard.permissions import ROLES
from dashboard.texts import OF_SCRIPTS, TEXTS, preferred, text
from pcb_bus.contract.messages import Category

ROOM = Path(dashboard.__file__).parent
TEMPLATES = "\n".join(each.read_text(encoding="utf-8") for each in (ROOM / "templates").iterdir())
CODE = "\n".join(each.read_text(encoding="utf-8") for each in ROOM.glob("*.py") if each.name != "texts.py")
SCRIPT = (ROOM / "static" / "live.js").read_text(encoding="utf-8")
STATES = ("online", "degraded", "offline", "silent", "unheard")


def test_both_languages_are_complete() -> None:
    for key, both in TEXTS.items():
        assert all(each.strip() == each and each for each in both), key
        assert set(re.findall(r"{\w+}", both[0])) == set(re.findall(r"{\w+}", both[1])), key
    assert all(re.search("[가-힣]", TEXTS[key][0]) for key in TEXTS if key != "language")
    assert not any(re.search("[가-힣]", TEXTS[key][1]) for key in TEXTS if key != "language")


def test_templates_ask_for_what_is_there() -> None:
    asked = set(re.findall(r"""\bt\(['"](\w+)['"]\)""", TEMPLATES))
    assert len(asked) > 40
    assert asked <= TEXTS.keys()
    assert {f"role_{each}" for each in ROLES} <= TEXTS.keys()


def test_scripts_get_what_they_write() -> None:
    written = set(re.findall(r"texts\.(\w+)", SCRIPT))
    assert {"no_news", "ago_s"} <= written
    assert written <= set(OF_SCRIPTS)
    assert {*get_args(Category), *(f"state_{each}" for each in STATES)} <= set(OF_SCRIPTS) <= TEXTS.keys()


def test_every_text_is_used() -> None:
    def is_used(key: str) -> bool:
        quoted = re.compile(rf"""["']{key}["']""")
        built = key.startswith(("role_", "side_", "error_", "reason_"))
        return built or key in OF_SCRIPTS or bool(quoted.search(TEMPLATES) or quoted.search(CODE))

    assert [key for key in TEXTS if not is_used(key)] == []


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "ko"),
        ("*", "ko"),
        ("ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        ("en-US,en;q=0.9,ko;q=0.5", "en"),
        ("de-DE,de;q=0.9", "en"),
        ("en;q=0.1,ko;q=0.7", "ko"),
        ("en;q=nonsense, ko;q=0.2", "ko"),
        ("EN", "en"),
    ],
)
def test_the_browser_says_which(accept: str, language: str) -> None:
    assert preferred(accept) == language


def test_a_text_that_is_not_there_is_a_fault() -> None:
    with pytest.raises(KeyError):
        text("no such text", "ko")
