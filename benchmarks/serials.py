"""Which codes can be read: `python -m benchmarks.serials [--turns N]`, a minute of one core.

Codes of the serial `P1-000123` on a mottled board of 640x480, turned by N angles over half a circle, noisy, as JPEG
of quality 85. By the size of a module (the smallest square of a code) and by how blurred the picture is: sigma of a
Gaussian, in pixels. Then how long a board takes, with a code and without one (CPU time of this thread).
"""

import argparse
import time
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import zxingcpp
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from pcb_bus.seeing.codes import SerialReader

Image = npt.NDArray[np.uint8]
SERIAL = "P1-000123"
CODES = {"Data Matrix": zxingcpp.BarcodeFormat.DataMatrix, "QR": zxingcpp.BarcodeFormat.QRCode}
MODULES = (1.5, 2.0, 2.5, 3.0, 4.0, 6.0)
BLURS = (0.0, 0.7, 1.0, 1.5, 2.0)
_NOISE = 3.0


def view(
    code: str,
    module: float,
    blur: float = 0.0,
    turned: float = 0.0,
    contrast: float = 0.8,
    size: tuple[int, int] = (640, 480),
    quality: int = 85,
) -> Image:
    """A board with a code in its middle. `module`: pixels; `turned`: degrees; a `contrast` below 0: light on dark."""
    rng = np.random.default_rng(round(turned * 100))
    width, height = size
    finer = 3 if width < 1000 else 1  # drawn so much larger, then scaled down as a lens does
    drawn = np.asarray(zxingcpp.create_barcode(SERIAL, CODES[code]).to_image(scale=1), np.float32) / 255
    side = round(drawn.shape[0] * module * finer), round(drawn.shape[1] * module * finer)
    label = 0.5 + contrast * (cv2.resize(drawn, side[::-1], interpolation=cv2.INTER_NEAREST) - 0.5)
    spots = rng.random((height // 8, width // 8)).astype(np.float32)
    board = 0.2 + 0.3 * cv2.resize(spots, (width * finer, height * finer))
    top, left = (board.shape[0] - side[0]) // 2, (board.shape[1] - side[1]) // 2
    board[top : top + side[0], left : left + side[1]] = label
    centre = (width * finer / 2 + rng.uniform(-8, 8), height * finer / 2 + rng.uniform(-8, 8))
    turn = cv2.getRotationMatrix2D(centre, turned, 1)
    seen = cv2.warpAffine(board, turn, (width * finer, height * finer), borderMode=cv2.BORDER_REFLECT)
    seen = cv2.resize(seen, size, interpolation=cv2.INTER_AREA)
    seen = cv2.GaussianBlur(seen, (0, 0), blur) if blur else seen
    grey = np.clip(255 * seen + rng.normal(0, _NOISE, seen.shape), 0, 255).astype(np.uint8)
    jpeg = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)


def is_read(reader: SerialReader, picture: Image) -> bool:
    return [each.serial for each in reader.read(picture).codes] == [SERIAL]


def main() -> None:
    parser = argparse.ArgumentParser("benchmarks.serials", description=__doc__, allow_abbrev=False)
    parser.add_argument("--turns", type=int, default=10, metavar="N", help="angles of each (default: 10)")
    turns = np.linspace(0, 180, parser.parse_args().turns, endpoint=False)
    reader, console = SerialReader("any"), Console(width=110)
    cv2.setNumThreads(1)
    console.print(f"{machine()}; of {len(turns)} angles each, so many were read", highlight=False)
    table = Table("code", "pixels a module", *(f"blur {blur:g}" for blur in BLURS))
    for code in CODES:
        for module in MODULES:
            found = (sum(is_read(reader, view(code, module, blur, turn)) for turn in turns) for blur in BLURS)
            table.add_row(code, f"{module:g}", *map(str, found))
    console.print(table)
    console.print(_cost(reader))


def _cost(reader: SerialReader) -> Table:
    table = Table("picture", "with a code, ms", "without, ms", title="CPU a board")
    for size in ((640, 480), (1920, 1080), (4056, 3040)):
        with_code = [view("Data Matrix", size[0] / 160, turned=turn, size=size) for turn in (0, 30, 60)]
        without = [view("Data Matrix", 0.3, turned=turn, size=size) for turn in (0, 30, 60)]
        table.add_row(f"{size[0]}x{size[1]}", *(f"{_ms(reader, some):.0f}" for some in (with_code, without)))
    return table


def _ms(reader: SerialReader, pictures: Sequence[Image]) -> float:
    begun = time.thread_time()
    for picture in pictures:
        reader.read(picture)
    return (time.thread_time() - begun) / len(pictures) * 1000


if __name__ == "__main__":
    main()
