"""How busy this machine is, for clients that show it."""

import shutil
import subprocess
import threading
import time
from typing import NamedTuple

import psutil

_EVERY_S = 2.0


class Percent(NamedTuple):
    """Of what there is. `gpu`: 0 where there is none of NVIDIA's."""

    cpu: float
    memory: float
    gpu: float


class Usage:
    """Looks every two seconds at most, however many ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looked_at = -_EVERY_S
        self._found = Percent(0.0, 0.0, 0.0)
        self._asks_gpu = shutil.which("nvidia-smi")
        psutil.cpu_percent()  # the first answer is about nothing

    def percent(self) -> Percent:
        with self._lock:
            if time.monotonic() - self._looked_at >= _EVERY_S:
                self._found = Percent(psutil.cpu_percent(), psutil.virtual_memory().percent, self._gpu())
                self._looked_at = time.monotonic()
            return self._found

    def _gpu(self) -> float:
        if self._asks_gpu is None:
            return 0.0
        asked = [self._asks_gpu, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        try:
            answer = subprocess.run(asked, capture_output=True, text=True, timeout=2, check=True).stdout
            return max(float(line) for line in answer.split())
        except (OSError, ValueError, subprocess.SubprocessError):
            return 0.0
