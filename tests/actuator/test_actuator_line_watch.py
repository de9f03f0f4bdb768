from actuator.line_watch import NO_BROKER, NO_INFERENCE, LineWatch


def test_what_is_away_for_long_enough_is_lost_until_it_is_back() -> None:
    watch = LineWatch(100)
    watch.broker(connected=False, now=0)
    assert (watch.lost(99), watch.next_at(99)) == ((), 100)
    watch.broker(connected=False, now=99)
    assert (watch.lost(100), watch.next_at(100)) == ((NO_BROKER,), None)
    watch.inference(here=False, now=100)
    assert watch.lost(200) == (NO_INFERENCE, NO_BROKER)
    watch.broker(connected=True, now=201)
    watch.inference(here=True, now=201)
    assert watch.lost(10_000) == ()


def test_a_short_absence_is_none() -> None:
    watch = LineWatch(100)
    watch.inference(here=False, now=0)
    watch.inference(here=True, now=50)
    watch.inference(here=False, now=60)
    assert watch.lost(159) == ()
    assert watch.lost(160) == (NO_INFERENCE,)


def test_an_inference_that_was_never_heard_of_is_not_away() -> None:
    assert LineWatch(0).lost(10**12) == ()
