"""A label printer that plays along: ZPL II on TCP, every label it prints a PNG.

Behaves as the facts say of Zebra: ``~HQES`` always answers, ``~HS`` not with media out, ribbon out
or head open; a job that cannot be printed waits and comes out later, unless ``~JA`` clears it. It
shares no code with the printing side. Faults can change while it runs.
"""

import base64
import binascii
import os
import re
import socket
import threading
import zlib
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_GRAPHIC: Final = re.compile(
    rb"\^GFA,(\d+),(\d+),(\d+),(:Z64:|:B64:)?([^:^]*)(?::([0-9A-Fa-f]{4}))?"
)
_NUMBER: Final = {name: re.compile(rb"\^" + name + rb"(\d+)") for name in (b"PW", b"LL", b"PQ")}
_ORIGIN: Final = re.compile(rb"\^FO(\d+),(\d+)")
_COUNTER: Final = b'! U1 getvar "odometer.total_label_count"'
_GETVAR: Final = b"! U1 getvar "
_MOST_DOTS: Final = 4000
_MOST_BYTES: Final = 1 << 20
"""Of one format that has not ended yet; what is longer is thrown away, as a full buffer is."""


@dataclass(frozen=True, slots=True)
class PrinterFaults:
    """What is wrong with the printer. ``media_out_at`` is the label that finds no media, from 1."""

    media_out_at: int | None = None
    ribbon_out: bool = False
    head_open: bool = False
    paused: bool = False
    silent: bool = False
    slow_s: float = 0.0
    no_counter: bool = False
    """An older printer: answers ``"?"`` to every getvar."""


@dataclass(frozen=True, slots=True)
class Job:
    """One format that was understood: width, height, rows of bits with 1 black, copies."""

    width: int
    height: int
    rows: bytes
    copies: int


@dataclass(slots=True)
class PrinterState:
    """The printer without its socket and its clock."""

    faults: PrinterFaults = PrinterFaults()
    dots_per_mm: int = 8
    printed: int = 0
    waiting: deque[Job] = field(default_factory=deque)
    rejected: list[str] = field(default_factory=list)
    """Why a format was thrown away: a real printer tells nobody."""
    _received: bytes = b""

    @property
    def media_out(self) -> bool:
        """Whether the next label finds no media."""
        return self.faults.media_out_at is not None and self.printed + 1 >= self.faults.media_out_at

    @property
    def stopped(self) -> bool:
        """Whether anything keeps it from printing."""
        faults = self.faults
        return self.media_out or faults.ribbon_out or faults.head_open or faults.paused

    def receive(self, data: bytes) -> bytes:
        """Take bytes as they come, and give the answers to the complete queries among them."""
        self._received += data
        answers = b""
        while (taken := self._next_command()) is not None:
            answers += self._obey(taken)
        if len(self._received) > _MOST_BYTES:
            self.rejected.append("the buffer ran over")
            self._received = b""
        return b"" if self.faults.silent else answers

    def next_job(self) -> Job | None:
        """What would be printed now; it stays in the buffer until ``print_one``."""
        return self.waiting[0] if self.waiting and not self.stopped else None

    def print_one(self) -> None:
        """Count one copy of the next job."""
        job = self.waiting.popleft()
        if job.copies > 1:
            self.waiting.appendleft(replace(job, copies=job.copies - 1))
        self.printed += 1

    def _next_command(self) -> bytes | None:
        """Cut the first complete command or format off what was received."""
        data = self._received.lstrip(b"\r\n\t ")
        starts = [at for at in map(data.find, (b"~", b"^XA", _GETVAR)) if at >= 0]
        if not starts:
            # keep the beginning of a command that is still on its way
            self._received = data[-len(_GETVAR) :]
            return None
        data = data[min(starts) :]
        if data.startswith(b"~"):
            length = 5 if data.startswith(b"~HQ") else 3
            end = length if len(data) >= length else 0
        else:
            stop = b"^XZ" if data.startswith(b"^XA") else b"\n"
            end = data.find(stop) + len(stop) if stop in data else 0
        self._received = data[end:]
        return data[:end] if end else None

    def _obey(self, command: bytes) -> bytes:
        if command.startswith(b"^XA"):
            self._take(command)
            return b""
        if command.startswith(_GETVAR):
            known = command.startswith(_COUNTER) and not self.faults.no_counter
            return f'"{self.printed if known else "?"}"\r\n'.encode()
        match command:
            case b"~HQES":
                return self._errors()
            case b"~HS":
                faults = self.faults
                unable = self.media_out or faults.ribbon_out or faults.head_open
                return b"" if unable else self._status()
            case b"~HI":
                return f"\x02SIM-PRINTER,V1.0,{self.dots_per_mm},8176KB\x03\r\n".encode()
            case b"~JA":
                self.waiting.clear()
        return b""

    def _errors(self) -> bytes:
        faults = self.faults
        bits = (
            self.media_out * 0x1
            | faults.ribbon_out * 0x2
            | faults.head_open * 0x4
            | faults.paused * 0x10000
        )
        return (
            "\x02\r\n\r\n  PRINTER STATUS\r\n"
            f"   ERRORS:         {int(bool(bits))} 00000000 {bits:08X}\r\n"
            "   WARNINGS:       0 00000000 00000000\r\n\x03\r\n"
        ).encode()

    def _status(self) -> bytes:
        left = sum(job.copies for job in self.waiting)
        return (
            f"\x02030,0,{int(self.faults.paused)},0200,{len(self.waiting):03d},0,0,0,000,0,0,0\x03\r\n"
            f"\x02000,0,0,0,0,2,4,0,{left:08d},1,000\x03\r\n"
            "\x021234,0\x03\r\n"
        ).encode()

    def _take(self, command: bytes) -> None:
        try:
            self.waiting.append(_understood(command))
        except ValueError as error:
            self.rejected.append(str(error))


class SimPrinter:
    """The server. ``with SimPrinter(folder) as printer: open_printer(printer.url)``.

    Listens on the loopback address only; ``port`` 0 takes a free one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        dots_per_mm: int = 8,
        faults: PrinterFaults | None = None,
    ) -> None:
        self.folder = folder
        self._state = PrinterState(faults or PrinterFaults(), dots_per_mm)
        self._changed = threading.Condition()
        self._open = True
        self._earlier = 0
        self._connections: set[socket.socket] = set()
        self._socket = socket.create_server(("127.0.0.1", port))
        self._threads = [
            threading.Thread(target=target, daemon=True) for target in (self._listen, self._print)
        ]

    @property
    def url(self) -> str:
        """What a station is given as its printer."""
        return f"zpl://127.0.0.1:{self._socket.getsockname()[1]}"

    @property
    def labels(self) -> tuple[Path, ...]:
        """The PNGs printed so far, in order."""
        return tuple(sorted(self.folder.glob("label-*.png")))

    @property
    def rejected(self) -> tuple[str, ...]:
        """Why formats were thrown away."""
        return tuple(self._state.rejected)

    @property
    def waiting(self) -> int:
        """Formats in the buffer."""
        return len(self._state.waiting)

    def set_faults(self, faults: PrinterFaults) -> None:
        """Break or repair the printer; a waiting job goes on by itself, as with a real one."""
        with self._changed:
            self._state.faults = faults
            self._changed.notify_all()

    def __enter__(self) -> Self:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._earlier = len(self.labels)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._open = False
            self._changed.notify_all()
        # a blocked accept() or recv() on Linux only wakes up for shutdown
        for end in (self._socket, *self._connections):
            _shut(end)
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def serve_until_interrupted(self) -> None:
        """Wait while the other threads work, until it is closed or Ctrl-C is pressed."""
        while self._open:
            self._threads[0].join(0.5)

    def _listen(self) -> None:
        while self._open:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._connections.add(connection)
            talk = threading.Thread(target=self._talk, args=(connection,), daemon=True)
            talk.start()
            self._threads = [*filter(threading.Thread.is_alive, self._threads), talk]

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            try:
                while self._open and (data := connection.recv(65536)):
                    with self._changed:
                        answers = self._state.receive(data)
                        self._changed.notify_all()
                    connection.sendall(answers)
            except OSError:
                pass  # the other side is gone; a printer does not mind
            finally:
                self._connections.discard(connection)

    def _print(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._open or self._state.next_job() is not None)
                if not self._open:
                    return
                self._changed.wait_for(lambda: not self._open, self._state.faults.slow_s)
                # cleared, opened or emptied while the motor ran: then nothing came out
                job = self._state.next_job()
                if job is not None and self._open:
                    number = self._earlier + self._state.printed + 1
                    _save(job, self.folder / f"label-{number:06d}.png")
                    self._state.print_one()


def _understood(command: bytes) -> Job:
    """A format with one graphic and nothing else that prints. Raises ``ValueError``: why not."""
    graphic = _GRAPHIC.search(command)
    if graphic is None:
        raise ValueError("no graphic")
    size, total, per_row = (int(graphic[index]) for index in (1, 2, 3))
    rows = _graphic_bytes(graphic[4] or b"", graphic[5], graphic[6])
    if per_row == 0 or size != total or len(rows) != total or total % per_row:
        raise ValueError("the graphic has another size than it says")
    width, height, copies = (
        int(found[1]) if (found := _NUMBER[name].search(command)) else default
        for name, default in ((b"PW", per_row * 8), (b"LL", total // per_row), (b"PQ", 1))
    )
    if not (0 < width <= _MOST_DOTS and 0 < height <= _MOST_DOTS and copies > 0):
        raise ValueError("a label of an impossible size")
    origin = _ORIGIN.search(command)
    if origin is not None and (int(origin[1]), int(origin[2])) != (0, 0):
        raise ValueError("only graphics at the origin are simulated")
    return Job(width, height, _cropped(rows, per_row, width, height), copies)


def _graphic_bytes(form: bytes, text: bytes, check: bytes | None) -> bytes:
    """What ``^GF`` carries: hexadecimal, or base64 with a CRC, deflated or not."""
    if not form:
        return bytes.fromhex(text.decode("ascii"))
    if check is None or int(check, 16) != binascii.crc_hqx(text, 0):
        raise ValueError("the graphic's CRC is wrong")
    packed = base64.b64decode(text, validate=True)
    if form == b":B64:":
        return packed
    try:
        return zlib.decompressobj().decompress(packed, _MOST_BYTES)
    except zlib.error as error:
        raise ValueError("the graphic does not inflate") from error


def _cropped(rows: bytes, per_row: int, width: int, height: int) -> bytes:
    """The rows that the label has room for, each as wide as the label; the rest is cut off."""
    wide = (width + 7) // 8
    lines = [
        rows[at : at + per_row][:wide].ljust(wide, b"\0") for at in range(0, len(rows), per_row)
    ]
    return b"".join(lines[:height]).ljust(wide * height, b"\0")


def _save(job: Job, path: Path) -> None:
    from PIL import Image

    image = Image.frombytes("1", (job.width, job.height), bytes(b ^ 0xFF for b in job.rows))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        image.save(file, format="PNG")


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        end.close()  # Windows and macOS cannot shut a listening socket down
