"""The command line of `python -m simulator`."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from sqlalchemy import make_url

from pcb_bus.runtime.redaction import secrets_of
from simulator.demo import DemoOptions
from simulator.drawn_set import DrawOptions
from simulator.line import FIRST, MOST_SEEN, MQTT, PRESENCE, SECOND, SIDES, TRIGGERS, LineOptions
from simulator.product import LEAST_SIZE
from simulator.schedule import ASSEMBLED, BARE, LOOKS, MOST_MARGIN, Schedule

_DEFECTS, _ODDITIES = 0.3, 0.05
_SEEN = "every user of this machine can read a password on the command line, `ps` shows it"
_PASSWORD = "PCB_RECORDER__DATABASE_PASSWORD"
_FOLDER, _SECOND_FOLDER = Path("var/demo"), Path("var/demo2")


def parse(argv: list[str] | None) -> DemoOptions | DrawOptions:
    """What is to be done; wrong options end the process with code 2."""
    parser = argparse.ArgumentParser("simulator", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="command", dest="command")
    demo = commands.add_parser("demo", help="run the whole line on this machine", allow_abbrev=False)
    draw = commands.add_parser("draw", help="write pictures of drawn boards, with labels", allow_abbrev=False)
    for each in (demo, draw):
        _add_boards(each)
    _add_demo(demo)
    _add_draw(draw)
    given = parser.parse_args(argv)
    if given.command == "demo" and given.trigger == PRESENCE and given.rate > MOST_SEEN:
        demo.error(f"--rate: edges see at most {MOST_SEEN:g} boards a second; --trigger {MQTT} announces more")
    return _demo(given) if given.command == "demo" else _draw(given)


def _add_boards(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--product", type=_whole, default=1, help="which product the assembled boards are (default: 1)")
    parser.add_argument("--seed", type=int, default=1, help="other boards, other defects (default: 1)")
    parser.add_argument("--defects", type=_share, metavar="SHARE", help=f"of defective sides (default: {_DEFECTS})")
    parser.add_argument("--oddities", type=_share, metavar="SHARE", help="of sides with what no class covers")


def _add_demo(demo: argparse.ArgumentParser) -> None:
    demo.add_argument("--boards", type=_count, metavar="N", help="stop after N boards (default: run until Ctrl-C)")
    demo.add_argument("--rate", type=_rate, default=2.0, metavar="R", help="boards a second (default: 2)")
    demo.add_argument("--look", choices=tuple(LOOKS), default=ASSEMBLED, help="of the boards (default: assembled)")
    demo.add_argument(
        "--trigger",
        choices=TRIGGERS,
        help=f"who announces the boards: the edges, which see them, or a photo-eye (default: {PRESENCE}; {MQTT} "
        f"for bare boards, more than {MOST_SEEN:g} boards a second, and pictures from files)",
    )
    demo.add_argument("--left", metavar="SOURCE", help="camera, video or folder for the left side (default: simulated)")
    demo.add_argument("--right", metavar="SOURCE", help="the same for the right side")
    demo.add_argument(
        "--database",
        type=_database,
        metavar="URL",
        help=f"sqlite:///file or mysql://user@host/database, its password in {_PASSWORD} (default: a new SQLite file)",
    )
    demo.add_argument("--folder", type=Path, help="files of the run (default: var/demo, of the second line var/demo2)")
    demo.add_argument("--line", choices=(FIRST, SECOND), default=FIRST, help="the second joins a first that runs")
    demo.add_argument("--first", type=Path, default=_FOLDER, help="files of that first line (default: var/demo)")


def _add_draw(draw: argparse.ArgumentParser) -> None:
    draw.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the pictures go")
    draw.add_argument("--boards", type=_count, required=True, metavar="N", help="how many of each side")
    draw.add_argument("--side", choices=SIDES, help="one side alone (default: both)")
    draw.add_argument("--good", action="store_true", help="good boards alone, plain pictures: FOLDER/<side>")
    draw.add_argument(
        "--size", type=_size, default=(640, 480), metavar="WxH", help="of the pictures (default: 640x480)"
    )
    draw.add_argument("--margin", type=_margin, default=0.0, metavar="SHARE", help="of belt at each end (default: 0)")
    draw.add_argument("--split", default="train", metavar="NAME", help="part of the labelled set (default: train)")


def _demo(given: argparse.Namespace) -> DemoOptions:
    for option, source in (("--left", given.left), ("--right", given.right)):
        if any(secrets_of(source)):
            print(
                f"{option}: {_SEEN}",
                file=sys.stderr,
            )
    return DemoOptions(
        boards=given.boards,
        rate=given.rate,
        seed=given.seed,
        defect_share=_DEFECTS if given.defects is None else given.defects,
        look=given.look,
        product=given.product,
        oddity_share=_ODDITIES if given.oddities is None else given.oddities,
        line=LineOptions(
            folder=given.folder or (_FOLDER if given.line == FIRST else _SECOND_FOLDER),
            root=given.line,
            first=given.first,
            trigger=given.trigger or _trigger(given),
            sources={"left": given.left, "right": given.right},
            database_url=given.database,
        ),
    )


def _trigger(given: argparse.Namespace) -> str:
    """Where edges can see the boards themselves, they do; pictures of files are there when somebody asks for them."""
    sources = [each for each in (given.left, given.right) if each]
    files = any("://" not in each and not each.isdecimal() and not each.startswith("/dev/") for each in sources)
    by_eye = given.look == BARE or given.rate > MOST_SEEN or files or len(sources) == 1
    return MQTT if by_eye else PRESENCE


def _draw(given: argparse.Namespace) -> DrawOptions:
    defects = 0.0 if given.good else _DEFECTS if given.defects is None else given.defects
    oddities = 0.0 if given.good or given.oddities is None else given.oddities
    schedule = Schedule(seed=given.seed, defect_share=defects, product=given.product, oddity_share=oddities)
    schedule = replace(schedule, margin=given.margin)
    sides = (given.side,) if given.side else SIDES
    return DrawOptions(given.out, given.boards, schedule, sides, given.good, given.split, *given.size)


def _database(text: str) -> str:
    """With the password of the environment, if there is one."""
    if any(secrets_of(text)):
        raise argparse.ArgumentTypeError(f"{_SEEN}; put it into {_PASSWORD}")
    password = os.environ.get(_PASSWORD)
    return text if password is None else make_url(text).set(password=password).render_as_string(hide_password=False)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1, not {text!r}")
    return int(text)


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a whole number of at least 0, not {text!r}")
    return int(text)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()) or int(width) < LEAST_SIZE[0] or int(height) < LEAST_SIZE[1]:
        raise argparse.ArgumentTypeError(f"width x height, at least {LEAST_SIZE[0]}x{LEAST_SIZE[1]}, not {text!r}")
    return int(width), int(height)


def _rate(text: str) -> float:
    if not 0 < (value := _number(text)) <= 20:
        raise argparse.ArgumentTypeError("more than 0 and at most 20 boards a second")
    return value


def _share(text: str) -> float:
    if not 0 <= (value := _number(text)) <= 1:
        raise argparse.ArgumentTypeError("from 0 to 1")
    return value


def _margin(text: str) -> float:
    if not 0 <= (value := _number(text)) <= MOST_MARGIN:
        raise argparse.ArgumentTypeError(f"from 0 to {MOST_MARGIN}")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a number, not {text!r}") from None
