"""A made-up IPP printer on the loopback address, with a state, jobs and trouble of its own.

It decodes and encodes IPP itself (RFC 8010), so it shares nothing with the client library.
"""

import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

INTEGER, BOOLEAN, ENUM, RESOLUTION, NO_VALUE = 0x21, 0x22, 0x23, 0x32, 0x13
TEXT, NAME, KEYWORD, URI, CHARSET, LANGUAGE, MIME = 0x41, 0x42, 0x44, 0x45, 0x47, 0x48, 0x49
PROCESSING, CANCELED, ABORTED, COMPLETED = 5, 7, 8, 9
_OPERATION, _JOB, _END, _PRINTER = 1, 2, 3, 4

Value = tuple[int, object]
Group = tuple[int, Mapping[str, list[Value]]]


@dataclass
class Job:
    """What arrived, and what became of it."""

    id: int
    name: str
    state: int
    attributes: dict[str, list[Value]]
    data: bytes = b""
    began: bool = False
    pieces: int = 0
    asked: int = 0


@dataclass
class Device:
    """The printer. ``ends`` is what becomes of a job once it was asked about twice."""

    reasons: list[str] = field(default_factory=lambda: ["none"])
    reasons_later: list[str] | None = None
    """Take the place of ``reasons`` with the first job."""
    ends: int | None = COMPLETED
    """None: the job is processed for ever."""
    first: int = PROCESSING
    """The state of a new job: 3 pending, 4 held, 5 processing."""
    stopped: bool = False
    accepting: bool = True
    queued: int = 0
    dpi: int = 203
    formats: tuple[str, ...] = ("application/pdf", "application/octet-stream")
    silent_about: frozenset[str] = frozenset()
    """Attributes it does not have."""
    refuses: int = 0
    """The status of its answer to a job."""
    loses_answers: bool = False
    """Takes a job and hangs up."""
    deaf_to_cancel: bool = False
    jobs: list[Job] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"ipp://127.0.0.1:{self.port}/ipp/print"

    @property
    def unfinished(self) -> int:
        return sum(job.state < CANCELED for job in self.jobs)

    def answer(self, request: bytes) -> bytes | None:
        """None: hang up."""
        operation, number = struct.unpack_from(">hi", request, 2)
        groups, data = decode(request)
        said = {name: values for _, group in groups for name, values in group.items()}
        status, extra = 0, list[Group]()
        match operation:
            case 0x0B:  # Get-Printer-Attributes
                extra = [(_PRINTER, self._facts())]
            case 0x02 | 0x05 if self.refuses:
                status = self.refuses
            case 0x02 | 0x05:  # Print-Job, Create-Job
                job = self._take(said, data)
                if self.loses_answers:
                    return None
                extra = [(_JOB, self._job(job))]
            case 0x06:  # Send-Document
                job = self._of(said)
                job.data += data
                extra = [(_JOB, self._job(job))]
            case 0x09:  # Get-Job-Attributes
                job = self._of(said)
                self._advance(job)
                extra = [(_JOB, self._job(job))]
            case 0x0A:  # Get-Jobs
                extra = [(_JOB, self._job(job)) for job in self.jobs if job.state < CANCELED]
            case 0x08:  # Cancel-Job
                status = self._cancel(self._of(said))
            case _ if operation != 0x04:  # Validate-Job
                status = 0x0501
        return encode(status, number, extra)

    def _cancel(self, job: Job) -> int:
        if job.state >= CANCELED:
            return 0x0404
        if not self.deaf_to_cancel:
            job.state = CANCELED
        return 0

    def _take(self, said: Mapping[str, list[Value]], data: bytes) -> Job:
        name = str(said["job-name"][0][1]) if "job-name" in said else ""
        job = Job(len(self.jobs) + 1, name, self.first, dict(said), data)
        job.began = job.state == PROCESSING
        self.jobs.append(job)
        if self.reasons_later is not None:
            self.reasons = self.reasons_later
        return job

    def _of(self, said: Mapping[str, list[Value]]) -> Job:
        if "job-id" in said:
            number = said["job-id"][0][1]
        else:
            number = int(str(said["job-uri"][0][1]).rsplit("/", 1)[1])
        return next(job for job in self.jobs if job.id == number)

    def _advance(self, job: Job) -> None:
        job.asked += 1
        if job.state == PROCESSING and self.ends is not None and job.asked >= 2:
            job.state = self.ends
            job.pieces = int(self.ends == COMPLETED)

    def _facts(self) -> dict[str, list[Value]]:
        state = 5 if self.stopped else 4 if self.unfinished else 3
        facts: dict[str, list[Value]] = {
            "printer-state": [(ENUM, state)],
            "printer-state-reasons": [(KEYWORD, reason) for reason in self.reasons],
            "printer-is-accepting-jobs": [(BOOLEAN, self.accepting)],
            "queued-job-count": [(INTEGER, self.queued + self.unfinished)],
            "document-format-supported": [(MIME, each) for each in self.formats],
            "printer-resolution-default": [(RESOLUTION, (self.dpi, self.dpi, 3))],
            "printer-make-and-model": [(TEXT, "Made-up Label Printer")],
            "ipp-versions-supported": [(KEYWORD, "1.1"), (KEYWORD, "2.0")],
            "operations-supported": [(ENUM, each) for each in (2, 4, 5, 6, 8, 9, 10, 11)],
        }
        return {name: facts[name] for name in facts if name not in self.silent_about}

    def _job(self, job: Job) -> dict[str, list[Value]]:
        facts: dict[str, list[Value]] = {
            "job-id": [(INTEGER, job.id)],
            "job-uri": [(URI, f"{self.url}/{job.id}")],
            "job-name": [(NAME, job.name)],
            "job-state": [(ENUM, job.state)],
            "job-state-reasons": [(KEYWORD, "none")],
            "job-originating-user-name": job.attributes.get("requesting-user-name", []),
            "job-impressions-completed": [(INTEGER, job.pieces)],
            "time-at-processing": [(INTEGER, 5) if job.began else (NO_VALUE, b"")],
        }
        return {name: facts[name] for name in facts if facts[name]}


def decode(request: bytes) -> tuple[list[Group], bytes]:
    """The groups of a request, and the document after them."""
    at = 8
    groups: list[Group] = []
    values: list[Value] = []
    while (tag := request[at]) != _END:
        at += 1
        if tag < 0x10:
            groups.append((tag, {}))
            continue
        (length,) = struct.unpack_from(">h", request, at)
        name = request[at + 2 : at + 2 + length].decode()
        at += 2 + length
        (length,) = struct.unpack_from(">h", request, at)
        raw = request[at + 2 : at + 2 + length]
        at += 2 + length
        if name:
            values = []
            groups[-1][1][name] = values  # type: ignore[index]
        values.append((tag, _value(tag, raw)))
    return groups, request[at + 1 :]


def _value(tag: int, raw: bytes) -> object:
    if tag in {INTEGER, ENUM}:
        return struct.unpack(">i", raw)[0]
    if tag == BOOLEAN:
        return raw == b"\x01"
    return raw.decode("utf-8", "replace")


def encode(status: int, number: int, groups: list[Group]) -> bytes:
    """A response of IPP/1.1."""
    head: Group = (
        _OPERATION,
        {
            "attributes-charset": [(CHARSET, "utf-8")],
            "attributes-natural-language": [(LANGUAGE, "en")],
        },
    )
    out = struct.pack(">bbhi", 1, 1, status, number)
    for tag, attributes in [head, *groups]:
        out += bytes([tag])
        for name, values in attributes.items():
            for index, (kind, value) in enumerate(values):
                label = name.encode() if index == 0 else b""
                raw = _raw(kind, value)
                out += struct.pack(">bh", kind, len(label)) + label
                out += struct.pack(">h", len(raw)) + raw
    return out + bytes([_END])


def _raw(kind: int, value: object) -> bytes:
    if kind in {INTEGER, ENUM}:
        return struct.pack(">i", value)
    if kind == BOOLEAN:
        return bytes([bool(value)])
    if kind == RESOLUTION:
        assert isinstance(value, tuple)
        return struct.pack(">iib", *value)
    return value if isinstance(value, bytes) else str(value).encode()


@contextmanager
def serving(device: Device) -> Iterator[Device]:
    """The device on a free port of the loopback address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version: Final = "HTTP/1.1"  # type: ignore[misc]

        def do_POST(self) -> None:
            if self.headers.get("Expect", "").lower() == "100-continue":
                pass  # the base class has answered it
            answer = device.answer(self._body())
            if answer is None:
                self.close_connection = True
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/ipp")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def _body(self) -> bytes:
            if "Content-Length" in self.headers:
                return self.rfile.read(int(self.headers["Content-Length"]))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    device.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield device
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
