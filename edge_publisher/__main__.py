"""`python -m edge_publisher --side left --source 0`; `--help` shows every option.

With the same options, `python -m edge_publisher doctor [--json]` looks for what is wrong, and says what to do; and
`python -m edge_publisher set-up [--minutes 1]` looks at the belt, and writes down where boards go by.
"""

import sys

import cv2

from edge_publisher.service import build
from edge_publisher.settings import EdgeLineSettings, node_name
from edge_publisher.sources.opening import quiet_opencv
from pcb_bus.runtime.process import run_service

_PROGRAM = "edge_publisher"


def main(argv: list[str]) -> int:
    quiet_opencv()
    cv2.setNumThreads(1)  # waking others costs more than such small pictures do
    if argv[:1] == ["doctor"]:
        from edge_publisher.doctor import checks
        from pcb_bus.runtime.doctor import examine

        return examine(EdgeLineSettings, checks, argv[1:], program=_PROGRAM)
    if argv[:1] == ["set-up"]:
        from edge_publisher import set_up

        return set_up.main(argv[1:])
    return run_service(EdgeLineSettings, build, node_name, argv, program=_PROGRAM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
