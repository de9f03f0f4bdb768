"""`python -m inference_subscriber`"""

import sys

from inference_subscriber.service import build
from inference_subscriber.settings import InferenceLine
from pcb_bus.runtime.process import run_service


def main() -> int:
    return run_service(InferenceLine, build, lambda line: line.inference.node, program="inference_subscriber")


if __name__ == "__main__":
    sys.exit(main())
