"""How fast the ledger is, against bare scripts that do the same writes in the clear.

    python benchmarks/ledger.py [--tokens 1000000] [--only reserve,import,pg,check] [--json]

Figures (medians of one run): ``reserve_per_s`` and ``reserve_vs_bare`` (SQLite, synchronous=FULL,
memory outside the database included), ``reserve_flatness`` (time of one reservation with
``--tokens`` in the pool, over that with 1,000), ``import_vs_bare`` and ``import_peak_mb``
(``--tokens`` from a CSV), ``import_again_vs_first``, ``pg_p99_ms`` and ``pg_duplicates``
(PostgreSQL, 32 stations at sixteen times a line's pace), ``check_s`` (``ledger check`` on 1,000,000
events).
"""

import argparse
import csv
import json
import multiprocessing
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import sqlalchemy as sa  # noqa: E402  # after the path, so that a clone needs no installation

from eol_inject.ledger import CycleFacts, Keys, Kind, open_ledger  # noqa: E402
from eol_inject.unit import AuthToken, ClaimCode, Identifier, StaticToken, Unit  # noqa: E402

KEYS = Keys(bytes(range(32)), bytes(range(32, 64)))
PRODUCT, LOT, ORGANIZATION = "TMPL1", "lot-1", 7
PACE_S = 0.5
"""Seconds between two units at each of 32 stations: a sixteenth of a real line's eight."""

COMPARED = (
    "reserve: against a bare sqlite3 script doing the same two writes in the clear, "
    "synchronous=FULL; import: against a bare csv + executemany script in the clear; "
    f"pg_p99_ms: 32 processes, each a unit every {PACE_S} s; "
    "pg_saturated_*: the same processes in a closed loop without a pause"
)


def write_csv(path: Path, count: int) -> None:
    """An imagined export: AuthToken, QR token, serial number."""
    import hashlib

    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Device Token", "QR Token", "Serial"])
        for number in range(count):
            digest = hashlib.sha256(str(number).encode()).hexdigest()
            writer.writerow([digest[:32], f"sqr_{digest[32:]}", f"SN{number:08d}"])


def tokens_of(path: Path) -> Iterator[StaticToken]:
    """The rows as the ledger takes them."""
    with path.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        for number, (auth, qr, serial) in enumerate(rows, 2):
            fields = {"serial": serial}
            yield StaticToken(AuthToken(auth), ClaimCode(qr, ORGANIZATION), number, (), fields)


def opened(url: str, station: str = "st1", memory: Path | None = None):
    """A training ledger, made where there is none."""
    return open_ledger(url, keys=KEYS, station=station, create=Kind.TRAINING, witness=memory)


def import_all(url: str, source: Path) -> float:
    """Seconds."""
    with opened(url) as ledger:
        start = time.perf_counter()
        ledger.import_tokens(
            tokens_of(source), product=PRODUCT, lot=LOT, organization=None,
            source_sha256="0" * 64, operator="bench",
        )  # fmt: skip
        return time.perf_counter() - start


def bare_import(path: Path, source: Path) -> float:
    """csv and executemany, in the clear, with the same two unique indexes."""
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("PRAGMA journal_mode=WAL")
    conn.execute("PRAGMA synchronous=FULL")
    conn.execute(
        "CREATE TABLE token (id INTEGER PRIMARY KEY, auth TEXT UNIQUE, qr TEXT UNIQUE,"
        " serial TEXT, product TEXT, lot TEXT, state TEXT)"
    )
    start = time.perf_counter()
    with source.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        conn.execute("BEGIN IMMEDIATE")
        conn.executemany(
            "INSERT INTO token (auth, qr, serial, product, lot, state)"
            " VALUES (?, ?, ?, 'TMPL1', 'lot-1', 'available')",
            rows,
        )
        conn.execute("COMMIT")
    took = time.perf_counter() - start
    conn.close()
    return took


def mac(number: int) -> Unit:
    """Unit ``number``."""
    return Unit(Identifier("mac", f"{0x020000000000 + number:012x}"))


def reservations(url: str, memory: Path, count: int, first: int) -> list[float]:
    """Seconds of each of ``count`` reservations; their cycles are begun before."""
    with opened(url, memory=memory) as ledger:
        cycles = [
            ledger.begin_cycle(
                mac(number), slot=str(number), operator="bench", traceability=CycleFacts()
            )
            for number in range(first, first + count)
        ]
        times = []
        for cycle in cycles:
            start = time.perf_counter()
            cycle.reserve(PRODUCT, ORGANIZATION, LOT)
            times.append(time.perf_counter() - start)
    return times


def bare_reservations(path: Path, count: int) -> list[float]:
    """The same two writes in the clear: token taken, event appended, on disk."""
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("PRAGMA journal_mode=WAL")
    conn.execute("PRAGMA synchronous=FULL")
    conn.execute("CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY, at TEXT, text TEXT)")
    conn.execute("CREATE INDEX IF NOT EXISTS pool ON token (lot, id) WHERE state='available'")
    times = []
    for number in range(count):
        start = time.perf_counter()
        conn.execute("BEGIN IMMEDIATE")
        conn.execute(
            "UPDATE token SET state='reserved' WHERE id=(SELECT id FROM token"
            " WHERE state='available' AND lot='lot-1' ORDER BY id LIMIT 1) RETURNING auth"
        ).fetchone()
        conn.execute("INSERT INTO event (at, text) VALUES ('now', ?)", (f"unit {number}",))
        conn.execute("COMMIT")
        times.append(time.perf_counter() - start)
    conn.close()
    return times


def measure_reserve(folder: Path, full: str, bare: Path, tokens: int) -> dict[str, float]:
    """Against the bare script, and with few tokens against many; turns taken, medians."""
    source = folder / "small.csv"
    write_csv(source, 4000)
    small = f"sqlite:///{folder / 'small.db'}"
    import_all(small, source)
    few, many, plain = [], [], []
    for turn in range(5):
        few += reservations(small, folder, 300, turn * 300)
        many += reservations(full, folder, 300, turn * 300)
        plain += bare_reservations(bare, 300)
    per_s = 1 / statistics.median(many)
    return {
        "reserve_per_s": per_s,
        "reserve_vs_bare": per_s * statistics.median(plain),
        "reserve_bare_per_s": 1 / statistics.median(plain),
        "reserve_flatness": statistics.median(many) / statistics.median(few),
        "tokens": tokens,
    }


def measure_import(folder: Path, tokens: int) -> dict[str, float]:
    """The import in a process of its own, so that its peak is its own."""
    source = folder / "tokens.csv"
    write_csv(source, tokens)
    bare = bare_import(folder / "bare.db", source)
    call = [sys.executable, __file__, "--child", str(folder / "ledger.db"), str(source)]
    first, peak = _child(call)
    again, _ = _child(call)
    return {
        "import_vs_bare": first / bare,
        "import_s": first,
        "import_bare_s": bare,
        "import_peak_mb": peak,
        "import_again_vs_first": again / first,
    }


def _child(call: list[str]) -> tuple[float, float]:
    out = subprocess.run(call, check=True, capture_output=True, text=True).stdout.split()
    return float(out[0]), float(out[1])


def _station(
    url: str,
    number: int,
    count: int,
    every_s: float,
    *,
    ready: "Barrier",
    out: "multiprocessing.Queue[object]",
) -> None:
    times, tokens = [], []
    first = int(every_s > 0) * 500_000
    with opened(url, station=f"st{number}") as ledger:
        ready.wait()  # starting 32 interpreters is not what is measured
        due = time.monotonic() + every_s * number / 32
        for index in range(first, first + count):
            time.sleep(max(0.0, due - time.monotonic()))
            due += every_s
            cycle = ledger.begin_cycle(
                mac(number * 1_000_000 + index), slot="A", operator="b", traceability=CycleFacts()
            )
            start = time.perf_counter()
            reserved = cycle.reserve(PRODUCT, ORGANIZATION, LOT)
            times.append(time.perf_counter() - start)
            tokens.append(reserved.assignment)
    out.put((times, tokens))


def _run_stations(url: str, stations: int, count: int, every_s: float) -> tuple[list[float], float]:
    """Seconds of each reservation, sorted, and of the whole."""
    queue: multiprocessing.Queue[object] = multiprocessing.Queue()
    ready = multiprocessing.Barrier(stations + 1)
    running = [
        multiprocessing.Process(
            target=_station,
            args=(url, number, count, every_s),
            kwargs={"ready": ready, "out": queue},
        )
        for number in range(stations)
    ]
    for one in running:
        one.start()
    ready.wait()
    start = time.perf_counter()
    results = [queue.get() for _ in running]
    for one in running:
        one.join()
    took = time.perf_counter() - start
    return sorted(t for result in results for t in result[0]), took  # type: ignore[index]


def measure_postgresql(folder: Path, reserved: int, stations: int = 32) -> dict[str, float]:
    """Many processes on one pool: first as fast as they can, then sixteen times a line's pace."""
    from tests.support import postgres

    source = folder / "pg.csv"
    paced = max(reserved // stations // 20, 20)
    write_csv(source, reserved + paced * stations)
    with postgres.running() as server:
        url = server.create("ledger")
        import_s = import_all(url, source)
        rushed, took = _run_stations(url, stations, reserved // stations, 0.0)
        times, _ = _run_stations(url, stations, paced, PACE_S)
        with server.connect("ledger") as conn:
            doubles = conn.execute(
                "SELECT count(*) FROM (SELECT token FROM assignment GROUP BY token"
                " HAVING count(*) > 1) AS d"
            ).fetchone()[0]
    return {
        "pg_p99_ms": times[int(len(times) * 0.99)] * 1000,
        "pg_p50_ms": statistics.median(times) * 1000,
        "pg_saturated_p99_ms": rushed[int(len(rushed) * 0.99)] * 1000,
        "pg_saturated_p50_ms": statistics.median(rushed) * 1000,
        "pg_reserved": len(rushed) + len(times),
        "pg_saturated_per_s": len(rushed) / took,
        "pg_duplicates": doubles,
        "pg_import_s": import_s,
    }


def measure_check(folder: Path, events: int) -> dict[str, float]:
    """``ledger check`` on a ledger with so many events, made the ordinary way but in bulk."""
    url = f"sqlite:///{folder / 'events.db'}"
    source = folder / "events.csv"
    write_csv(source, 1000)
    import_all(url, source)
    with opened(url) as ledger:
        from eol_inject.ledger.chain import Entry, append

        setup = ledger._setup

        def grow(conn: sa.Connection) -> None:
            for number in range(events):
                append(conn, setup, Entry("note", operator="bench", facts={"n": number}))

        setup.db.write(grow)
        start = time.perf_counter()
        report = ledger.check()
        took = time.perf_counter() - start
        assert not report.findings
        assert report.events >= events
    return {"check_s": took, "check_events": report.events}


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--child"]:
        took = import_all(f"sqlite:///{sys.argv[2]}", Path(sys.argv[3]))
        print(took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--pg", type=int, default=100_000, help="reservations on PostgreSQL")
    parser.add_argument("--only", default="import,reserve,check,pg")
    parser.add_argument("--quick", action="store_true", help="a fiftieth of everything")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.tokens, options.events, options.pg = 20_000, 20_000, 2_000
    wanted = set(options.only.split(","))
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if wanted & {"import", "reserve"}:
            figures |= measure_import(folder, options.tokens)
        if "reserve" in wanted:
            full = f"sqlite:///{folder / 'ledger.db'}"
            figures |= measure_reserve(folder, full, folder / "bare.db", options.tokens)
        if "check" in wanted:
            figures |= measure_check(folder, options.events)
        if "pg" in wanted:
            figures |= measure_postgresql(folder, options.pg)
    if options.json:
        print(json.dumps(figures | {"compared": COMPARED}))
    else:
        for figure, value in figures.items():
            print(f"{figure:24} {value:,.3f}")


if __name__ == "__main__":
    main()
