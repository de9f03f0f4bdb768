"""Verdicts against the truth: escapes, false calls, and what became of the oddities."""

from collections.abc import Sequence

from simulator.accounts import BoardAccount

#: What a line should keep to, as shares of its boards. A run reports whether it did.
MOST_ESCAPES, MOST_FALSE_CALLS = 0.01, 0.02


def against_truth(accounts: Sequence[BoardAccount]) -> dict[str, object]:
    """Part of a summary. All of it is None where no truth is known, rates also before the first board is judged.

    Rates are shares of the boards that were judged, which `unjudged` ones were not. `oddities` counts sides of such
    boards; one is called when the verdict names that side as anything but normal.
    """
    if all(account.truth is None for account in accounts):
        names = ("escapes", "escape_rate", "false_calls", "false_call_rate", "within_bounds", "oddities", "misjudged")
        return dict.fromkeys(names)
    judged = [account for account in accounts if account.truth is not None and _is_judged(account)]
    escapes = sum(account.error == "escape" for account in judged)
    false_calls = sum(account.error == "false call" for account in judged)
    kept = escapes <= MOST_ESCAPES * len(judged) and false_calls <= MOST_FALSE_CALLS * len(judged)
    called = [each for account in judged for each in account.oddities]
    return {
        "escapes": escapes,
        "escape_rate": _share(escapes, len(judged)),
        "false_calls": false_calls,
        "false_call_rate": _share(false_calls, len(judged)),
        "within_bounds": kept if judged else None,
        "oddities": {"drawn": len(called), "called": sum(called)},
        "misjudged": [_told(account) for account in judged if account.error],
    }


def _is_judged(account: BoardAccount) -> bool:
    return account.judgement is not None and account.judgement.category != "unjudged"


def _share(count: int, boards: int) -> float | None:
    return round(count / boards, 4) if boards else None


def _told(account: BoardAccount) -> dict[str, object]:
    """A wrong verdict, for a person to look into."""
    judgement = account.judgement
    return {
        "board_id": account.board_id,
        "error": account.error,
        "truth": account.truth,
        "verdict": judgement.category if judgement else None,
        "drawn": [f"{fault.side} {fault.name}" for fault in account.drawn],
        "found": list(judgement.found) if judgement else [],
    }
