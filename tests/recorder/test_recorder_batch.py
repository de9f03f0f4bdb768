"""What is committed together, and what is said of it."""

import pytest

from recorder.batch import (
    ActuationRecord,
    ImageRecord,
    LogRecord,
    Record,
    RejectedRecord,
    TriggerRecord,
    VerdictRecord,
    group,
    recorded_messages,
)


def verdict(name: str, **more: object) -> VerdictRecord:
    return VerdictRecord({"verdict_id": name, **more}, [])


def report(name: str, outcome: str = "fired") -> ActuationRecord:
    return ActuationRecord({"verdict_id": name, "outcome": outcome})


def trigger(name: str, **more: object) -> TriggerRecord:
    return TriggerRecord({"verdict_id": name, **more})


def picture(path: str, heat: str | None = None) -> ImageRecord:
    row = {"verdict_id": "a", "camera_id": "left", "kind": "frame", "path": path}
    return ImageRecord(row, None if heat is None else {**row, "kind": "heat", "path": heat})


def rejected(kind: str, name: str | None, digest: str = "x", **more: object) -> RejectedRecord:
    return RejectedRecord({"kind": kind, "verdict_id": name, "digest": digest, **more})


def test_the_first_of_each_key_stands() -> None:
    batch = group(
        [
            verdict("a", confidence=1),
            verdict("a", confidence=2),
            report("a"),
            report("a"),
            report("a", "duplicate"),
            picture("1"),
            picture("2", heat="3"),
            picture("1", heat="4"),
            LogRecord({"digest": "x"}),
            LogRecord({"digest": "x"}),
            trigger("a", source="plc"),
            trigger("a", source="edge"),
            rejected("verdict", None, reason="json"),
            rejected("verdict", None, reason="schema"),
        ]
    )
    assert batch.verdicts["a"].row["confidence"] == 1
    assert set(batch.actuations) == {("a", "fired"), ("a", "duplicate")}
    assert [row["path"] for row in batch.images.values()] == ["1", "3"]
    assert list(batch.logs) == ["x"]
    assert [row["source"] for row in batch.triggers.values()] == ["plc"]
    assert [row["reason"] for row in batch.rejected.values()] == ["json"]


def test_every_id_is_named_once_and_repeats_too() -> None:
    (message,) = recorded_messages([verdict("a"), report("b"), verdict("a"), report("b", "duplicate"), report("a")])
    assert message.verdicts == ("a",)
    assert message.actuations == ("b", "a")


def test_pictures_and_events_are_not_named() -> None:
    assert list(recorded_messages([LogRecord({"digest": "x"}), ImageRecord({"verdict_id": "a"})])) == []


def test_that_a_verdict_came_again_is_not_named_as_its_report() -> None:
    assert list(recorded_messages([report("a", "duplicate")])) == []
    (message,) = recorded_messages([verdict("b"), report("a", "duplicate")])
    assert (message.verdicts, message.actuations) == (("b",), ())


def test_many_ids_are_several_messages() -> None:
    records: list[Record] = [verdict(f"v{number}") for number in range(450)]
    messages = list(recorded_messages([*records, report("a")]))
    assert [len(message.verdicts) for message in messages] == [200, 200, 50]
    assert [message.actuations for message in messages] == [("a",), (), ()]


def test_triggers_are_named_apart() -> None:
    (message,) = recorded_messages([trigger("a"), verdict("a"), trigger("b")])
    assert (message.triggers, message.verdicts) == (("a", "b"), ("a",))


@pytest.mark.parametrize("kind", ["verdict", "actuation", "trigger"])
def test_a_sender_hears_of_what_was_rejected_as_of_what_was_recorded(kind: str) -> None:
    (message,) = recorded_messages([rejected(kind, "a"), rejected(kind, "a")])
    assert {"verdicts": (), "actuations": (), "triggers": ()} | {f"{kind}s": ("a",)} == {
        "verdicts": message.verdicts,
        "actuations": message.actuations,
        "triggers": message.triggers,
    }


def test_what_nobody_waits_for_is_not_named_when_it_is_rejected() -> None:
    assert list(recorded_messages([rejected("verdict", None), rejected("evidence", "a"), rejected("event", "b")])) == []
