"""What is committed together, and what is said of it."""

from recorder.batch import ActuationRecord, ImageRecord, LogRecord, Record, VerdictRecord, group, recorded_messages


def verdict(name: str, **more: object) -> VerdictRecord:
    return VerdictRecord({"verdict_id": name, **more}, [])


def report(name: str, outcome: str = "fired") -> ActuationRecord:
    return ActuationRecord({"verdict_id": name, "outcome": outcome})


def test_the_first_of_each_key_stands() -> None:
    batch = group(
        [
            verdict("a", confidence=1),
            verdict("a", confidence=2),
            report("a"),
            report("a"),
            report("a", "duplicate"),
            ImageRecord({"verdict_id": "a", "camera_id": "left", "path": "1"}),
            ImageRecord({"verdict_id": "a", "camera_id": "left", "path": "2"}),
            LogRecord({"digest": "x"}),
            LogRecord({"digest": "x"}),
        ]
    )
    assert batch.verdicts["a"].row["confidence"] == 1
    assert set(batch.actuations) == {("a", "fired"), ("a", "duplicate")}
    assert [row["path"] for row in batch.images.values()] == ["1"]
    assert list(batch.logs) == ["x"]


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
