from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import yaml

from pcb_bus.contract.messages import Category
from pcb_bus.contract.taxonomy import UNKNOWN_ANOMALY, Taxonomy, load_taxonomy
from pcb_bus.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "config" / "pcb_defects.yaml"
GOOD: dict[str, Any] = {
    "classes": {"short": "solder", "spur": "minor"},
    "categories": {
        "scrap": {"label": "폐기", "pin": 22, "duration_ms": 500},
        "solder": {"label": "납땜불량", "pin": 27, "duration_ms": 500},
        "component": {"label": "부품불량", "pin": 17, "duration_ms": 500},
        "normal": {"label": "정상", "pin": 23, "duration_ms": 300},
        "unjudged": {"label": "미판정"},
    },
}


@pytest.fixture
def taxonomy() -> Taxonomy:
    return load_taxonomy(SHIPPED)


@pytest.mark.parametrize(
    ("category", "label", "pin", "duration_ms"),
    [
        ("scrap", "폐기", 22, 500),
        ("solder", "납땜불량", 27, 500),
        ("component", "부품불량", 17, 500),
        ("normal", "정상", 23, 300),
        ("unjudged", "미판정", None, None),
    ],
)
def test_the_shipped_gates(
    taxonomy: Taxonomy, category: Category, label: str, pin: int | None, duration_ms: int | None
) -> None:
    rule = taxonomy.categories[category]
    assert (rule.label, rule.pin, rule.duration_ms) == (label, pin, duration_ms)
    assert taxonomy.label(category) == label


@pytest.mark.parametrize(
    ("class_name", "category"),
    [
        ("missing_component", "component"),
        ("open_circuit", "solder"),
        ("short", "solder"),
        ("cold_joint", "solder"),
        ("solder_bridge", "solder"),
        ("insufficient_solder", "solder"),
        ("damaged_pad", "scrap"),
        ("spurious_copper", "scrap"),
        ("mouse_bite", "normal"),
        ("spur", "normal"),
        ("pin_hole", "normal"),
        (UNKNOWN_ANOMALY, "component"),
    ],
)
def test_the_shipped_classes(taxonomy: Taxonomy, class_name: str, category: Category) -> None:
    assert taxonomy.category_of(class_name) == category


def test_a_class_that_nobody_knows_is_an_error(taxonomy: Taxonomy) -> None:
    with pytest.raises(KeyError):
        taxonomy.category_of("scratch")
    assert taxonomy.unknown_classes(["short", "scratch", "dent"]) == ("dent", "scratch")


@pytest.mark.parametrize("order", list(permutations(["scrap", "solder", "component", "normal"])))
def test_the_worst_category_wins_in_any_order(taxonomy: Taxonomy, order: tuple[Category, ...]) -> None:
    assert taxonomy.worst(order) == "scrap"
    assert taxonomy.worst(each for each in order if each != "scrap") == "solder"
    assert taxonomy.worst(each for each in order if each in {"component", "normal"}) == "component"


def test_a_file_that_names_normal_first_lets_no_defect_pass() -> None:
    rules = GOOD["categories"]
    upside_down = Taxonomy.model_validate({**GOOD, "categories": {"normal": rules["normal"], **rules}})
    assert upside_down.worst(["normal", "solder"]) == "solder"


def test_nothing_found_is_normal(taxonomy: Taxonomy) -> None:
    assert taxonomy.worst([]) == "normal"


def changed(path: str, value: object) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(yaml.safe_dump(GOOD))
    *parents, key = path.split(".")
    at = document
    for parent in parents:
        at = at[parent]
    if value is None:
        del at[key]
    else:
        at[key] = value
    return document


@pytest.mark.parametrize(
    ("document", "key"),
    [
        (changed("classes.short", "terrible"), r"classes\.short"),
        (changed("classes", {}), "classes"),
        (changed("class", {}), "class: Extra"),
        (changed(f"classes.{UNKNOWN_ANOMALY}", "minor"), f"classes: {UNKNOWN_ANOMALY} is no class of a detector"),
        (changed("categories.scrap.pin", 99), r"categories\.scrap\.pin"),
        (changed("categories.scrap.pin", None), r"categories\.scrap: .*pin and duration_ms go together"),
        (changed("categories.scrap.duration_ms", 0), r"categories\.scrap\.duration_ms"),
        (changed("categories.unjudged.gate_delay_ms", 5), r"categories\.unjudged: .* they need a pin"),
        (changed("categories.unjudged.exclusive", "arm"), r"categories\.unjudged: .* they need a pin"),
        (changed("categories.scrap.gate_delay_ms", 600_001), r"categories\.scrap\.gate_delay_ms"),
        (changed("categories.scrap.exclusive", "an arm"), r"categories\.scrap\.exclusive"),
        (changed("categories.scrap.label", "a\0"), r"categories\.scrap\.label"),
        (
            changed("categories.scrap", {"label": "폐기", "pin": 27, "duration_ms": 500, "exclusive": "arm"}),
            "categories: pin 27 is exclusive in two ways",
        ),
        (changed("categories.scrap", None), "categories: missing scrap"),
        (changed("categories.lost", {"label": "?"}), r"categories\.lost"),
        (changed("categories.unjudged", {"label": "미판정", "pin": 4, "duration_ms": 1}), r"categories\.unjudged"),
        (changed("copper", {"added": ["short"] * 3, "removed": ["spur", "dent", "spur"]}), "copper: dent: not among"),
        (changed("copper", {"added": ["short"] * 2, "removed": ["spur"] * 3}), r"copper\.added"),
        ([], r"defects\.yaml: Input should be a valid dict"),
    ],
)
def test_a_wrong_taxonomy_names_the_key(document: object, key: str, tmp_path: Path) -> None:
    path = tmp_path / "defects.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(ConfigError, match=key) as caught:
        load_taxonomy(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_gate_may_stand_downstream_and_share_an_arm() -> None:
    rules = GOOD["categories"]
    arm = {"pin": 22, "duration_ms": 500, "gate_delay_ms": 1200.5, "exclusive": "arm"}
    both = {"scrap": {"label": "폐기", **arm}, "solder": {"label": "납땜불량", **arm, "gate_delay_ms": 0}}
    scrap = Taxonomy.model_validate({**GOOD, "categories": {**rules, **both}}).categories["scrap"]
    assert (scrap.gate_delay_ms, scrap.exclusive) == (1200.5, "arm")


def test_a_byte_order_mark_is_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "defects.yaml"
    path.write_text(SHIPPED.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert load_taxonomy(path) == load_taxonomy(SHIPPED)


@pytest.mark.parametrize("encoding", ["cp949", "utf-16", "utf-16-le", "utf-32"])
def test_an_editor_that_saved_it_otherwise_is_told(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "defects.yaml"
    path.write_text(SHIPPED.read_text(encoding="utf-8"), encoding=encoding)
    with pytest.raises(ConfigError, match=r"defects\.yaml: not UTF-8 text; save it as UTF-8$"):
        load_taxonomy(path)


@pytest.mark.parametrize(
    "content",
    [
        "classes: [",
        "a: !!int x",
        "a: 2026-13-45",
        "a: !!timestamp x",
        "a: !!bool x",
        "a: !!int ''",
        "[" * 5000,
        "? [a]",
    ],
)
def test_what_is_not_yaml_is_one_line(content: str, tmp_path: Path) -> None:
    path = tmp_path / "defects.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"not YAML: [^\n]+$"):
        load_taxonomy(path)


def test_a_missing_taxonomy_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"defects\.yaml: cannot be read: No such file"):
        load_taxonomy(tmp_path / "defects.yaml")
