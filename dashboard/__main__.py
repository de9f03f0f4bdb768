"""`python -m dashboard` runs the service."""

import sys

from dashboard.service import NODE, build
from dashboard.settings import DashboardLine
from pcb_bus.runtime.process import keep_to_ourselves, run_service

if __name__ == "__main__":
    keep_to_ourselves()
    sys.exit(run_service(DashboardLine, build, lambda _: NODE, program="python -m dashboard"))
