"""`python -m edge_publisher --side left --source 0`; `--help` shows every option."""

import sys

from edge_publisher.service import build
from edge_publisher.settings import EdgeLineSettings, node_name
from edge_publisher.sources.opening import quiet_opencv
from pcb_bus.runtime.process import run_service


def main(argv: list[str] | None = None) -> int:
    quiet_opencv()
    return run_service(EdgeLineSettings, build, node_name, argv, program="edge_publisher")


if __name__ == "__main__":
    sys.exit(main())
