"""Why a camera does not open: the likely cause and the way out, in one line. OpenCV tells neither."""

import errno
import os
import socket
import ssl
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import SplitResult, urlsplit, urlunsplit

from pcb_bus.runtime.redaction import redact_address

_ENCODE = "in a user or password, write %40 for @, %2F for /, %3F for ? and %23 for #"
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}


def why_no_camera(target: int | str, folder: Path = Path("/dev")) -> str:
    """Of a V4L2 camera by its index or its device, which OpenCV could not open, or which gives no picture."""
    path = folder / f"video{target}" if isinstance(target, int) else Path(target)
    others = ", ".join(str(each) for each in sorted(folder.glob("video*")) if each != path)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
    except OSError as error:
        return why_refused(error, path, others)
    if holder := _holder(path):
        return f"{path} is in use by {holder}: end that program"
    hint = f"; cameras may have two devices, try {others}" if others else ""
    return f"{path} gives no pictures: another program has it, or it is no camera{hint}"


def why_refused(error: OSError, path: Path, others: str) -> str:
    """What the refusal to open `path` means; `others`: the cameras that are there."""
    match error.errno:
        case errno.ENOENT if others:
            return f"there is no {path}; there is {others}"
        case errno.ENOENT:
            return f"there is no {path}, nor any other camera: is it plugged in?"
        case errno.EACCES | errno.EPERM:
            return f"no permission for {path}: add the user to the group video, and log in again"
        case errno.EBUSY:
            return f"{path} is in use by another program: end that one"
        case _:
            return f"{path}: {error.strerror}: is it plugged in?"


def why_no_stream(url: str, patience_s: float = 2.0) -> str:
    """Of a network camera that OpenCV could not open. No login is sent, and none is told."""
    parts = urlsplit(url)
    try:
        where = _where(parts)
        return f"{where} {_answer(parts, where, patience_s)}"
    except (ValueError, OSError) as error:
        return why_no_answer(url, error)


def why_no_answer(url: str, error: Exception) -> str:
    """What it means that a network camera could not be asked, or refused. No login is told."""
    parts = urlsplit(url)
    if "@" in url and "@" not in parts.netloc:
        return f"edge.source has an @, but not where a login ends: {_ENCODE}"
    if isinstance(error, socket.gaierror):
        return f"there is no host {parts.hostname!r}: is the name right?"
    match error:
        case ssl.SSLError():
            told = "has no certificate that this machine trusts: use http:// within a network of your own"
        case ValueError():
            return f"edge.source has no valid host or port: {_ENCODE}"
        case HTTPError():
            told = _refusal(parts, str(error.code)) or f"answers with the error {error.code}"
        case ConnectionRefusedError():
            told = f"refuses connections: is that the camera's {parts.scheme.upper()} port?"
        case _:
            told = "does not answer: is the camera on, and in this network?"
    return f"{_where(parts)} {told}"


def _where(parts: SplitResult) -> str:
    return f"{parts.hostname}:{parts.port or _PORTS[parts.scheme]}"


def _answer(parts: SplitResult, where: str, patience_s: float) -> str:
    """What is to be said of the answer to an RTSP request (RFC 2326, section 10.2)."""
    host, _, port = where.rpartition(":")
    with socket.create_connection((host, int(port)), patience_s) as connection:
        status = ""
        if parts.scheme == "rtsp":
            stream = urlunsplit(("rtsp", where, parts.path, parts.query, ""))
            connection.sendall(f"DESCRIBE {stream} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n".encode())
            status = connection.recv(4096).decode("latin-1").partition(" ")[2][:3]
    return _refusal(parts, status) or "answers, but gives no pictures that OpenCV can read"


def _refusal(parts: SplitResult, status: str) -> str:
    if status in {"401", "403"}:
        asks = f"asks for a login: {parts.scheme}://<user>:<password>@…"
        return "seems to refuse the login in edge.source" if parts.username else asks
    return f"has no stream {redact_address(parts.path)!r}" if status == "404" else ""


def _holder(path: Path) -> str | None:
    """The name and number of a process that has it open, of those that this user may look at."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            process = link.parents[1]
            if link.readlink() == path.resolve() and process.name != str(os.getpid()):
                return f"{(process / 'comm').read_text().strip()} ({process.name})"
    return None
