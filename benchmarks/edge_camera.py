"""What an edge is measured with, each in a process of its own: `python -m benchmarks.edge_camera camera|guide …`.

`camera PORT FPS` is a network camera over a moving belt: MJPEG over HTTP, with a number in each picture. It also takes
what is posted to it, and counts it. `guide CAMERA_URL PORT` does what the usual guide does: OpenCV decodes each
picture and encodes it again, and it is posted in Base64 within JSON.
"""

import base64
import json
import sys
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.request import Request, urlopen

import cv2

from pcb_bus.contract.times import now_ns
from simulator.moving_belt import Scene, product_boards, views

_COMMENT = b"\xff\xfe\x00\x0a"  # a JPEG's own field for remarks, of eight digits
_BOARDS, _SPEED = 4, 0.25


def numbered(jpeg: bytes, number: int) -> bytes:
    """The picture with that number in it; it looks the same."""
    return jpeg[:2] + _COMMENT + f"{number:08}".encode() + jpeg[2:]


def number_of(jpeg: bytes) -> int | None:
    """What `numbered` wrote, if it is there yet."""
    return int(jpeg[6:14]) if jpeg[2:6] == _COMMENT else None


def belt_jpegs(fps: float) -> list[bytes]:
    """Boards of 640x480 that go by, and an empty belt before and after."""
    scene = Scene(boards=product_boards(1), count=_BOARDS, speed=(_SPEED, _SPEED), lead_s=1.0, fps=fps)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 85]
    return [cv2.imencode(".jpg", each.image, quality)[1].tobytes() for each in views(scene)]


class Camera(ThreadingHTTPServer):
    """GET: the stream, for everybody from its beginning; GET /posted: how much was posted; POST: one more."""

    daemon_threads = True

    def __init__(self, port: int, fps: float) -> None:
        self.jpegs, self.fps, self.posted = belt_jpegs(fps), fps, 0
        super().__init__(("127.0.0.1", port), _Connection)


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Camera

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted += 1
        self._answer(b"{}")

    def do_GET(self) -> None:
        if self.path == "/posted":
            self._answer(str(self.server.posted).encode())
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=board")
        self.end_headers()
        with suppress(OSError):
            self._stream()

    def _stream(self) -> None:
        camera, begun = self.server, time.monotonic()
        for number in count():
            time.sleep(max(0.0, begun + number / camera.fps - time.monotonic()))
            jpeg = numbered(camera.jpegs[number % len(camera.jpegs)], number)
            head = f"--board\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def guide(url: str, port: int) -> None:
    """A connection for each picture, as `requests.post` makes it."""
    capture = cv2.VideoCapture(url)
    while True:
        taken, image = capture.read()
        if not taken:
            return
        jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
        frame = {"camera_id": "left", "timestamp": now_ns() / 1e9, "image": base64.b64encode(jpeg).decode()}
        body, kind = json.dumps(frame).encode(), {"Content-Type": "application/json"}
        with urlopen(Request(f"http://127.0.0.1:{port}/", body, kind)) as answer:
            answer.read()


def main(argv: list[str]) -> int:
    what, *given = argv
    if what == "camera":
        camera = Camera(int(given[0]), float(given[1]))
        print("ready", flush=True)
        camera.serve_forever()
    else:
        guide(given[0], int(given[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
