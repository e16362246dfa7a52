"""How fast the ledger is, against bare scripts that do the same writes in the clear.

    python benchmarks/ledger.py [--tokens 1000000] [--only reserve,import,pg,check] [--json]

Figures (medians of one run): ``reserve_per_s`` and ``reserve_vs_bare`` (SQLite, synchronous=FULL,
memory outside the database included), ``reserve_flatness`` (time of one reservation with
``--tokens`` in the pool, over that with 1,000), ``import_vs_bare`` and ``import_peak_mb``
(``--tokens`` from a CSV), ``import_again_vs_first``, ``pg_p99_ms`` and ``pg_duplicates``
(PostgreSQL, 32 stations in a closed loop; ``pg_paced_p99_ms`` at sixteen times a line's pace),
``check_s`` (``ledger check`` on ``--events`` events).
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
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import sqlalchemy as sa  # noqa: E402  # after the path, so that a clone needs no installation

from eol_inject.ledger import CycleFacts, Keys, Kind, chain, open_ledger, schema  # noqa: E402
from eol_inject.unit import AuthToken, ClaimCode, Identifier, StaticToken, Unit  # noqa: E402

KEYS = Keys(bytes(range(32)), bytes(range(32, 64)))
PRODUCT, LOT, ORGANIZATION = "TMPL1", "lot-1", 7
STATIONS = 32
PACE_S = 0.5
"""Seconds between two units at each of 32 stations: a sixteenth of a real line's eight."""

COMPARED = (
    "reserve: against a bare sqlite3 script doing the same two writes in the clear, "
    "synchronous=FULL; import: against a bare csv + executemany script in the clear; "
    f"pg_p99_ms: {STATIONS} processes on this computer, each a station, in a closed loop of "
    "reservations without a pause, their cycles begun before; "
    f"pg_paced_*: the same stations, each a unit every {PACE_S} s"
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
    write_csv(source, 2500)  # of which a thousand are left in the end
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


@dataclass(frozen=True)
class Load:
    """What each of many stations does, all at once."""

    rounds: int
    each: int
    """Reservations in a round; their cycles are begun before it, and not measured."""
    every_s: float = 0.0
    """From one reservation to the next; 0: as soon as the one before is on disk."""
    first: int = 0
    """Number of the first unit."""


def _station(
    url: str, number: int, load: Load, *, ready: "Barrier", out: "multiprocessing.Queue[object]"
) -> None:
    times = []
    with opened(url, station=f"st{number}") as ledger:
        for turn in range(load.rounds):
            first = number * 1_000_000 + load.first + turn * load.each
            cycles = [
                ledger.begin_cycle(
                    mac(unit), slot=str(unit), operator="b", traceability=CycleFacts()
                )
                for unit in range(first, first + load.each)
            ]
            ready.wait()  # all stations at once
            due = time.monotonic() + load.every_s * number / STATIONS
            for cycle in cycles:
                time.sleep(max(0.0, due - time.monotonic()))
                due += load.every_s
                start = time.perf_counter()
                cycle.reserve(PRODUCT, ORGANIZATION, LOT)
                times.append(time.perf_counter() - start)
            ready.wait()  # nobody begins cycles while others are measured
    out.put(times)


def _run_stations(url: str, load: Load) -> tuple[list[float], float]:
    """Seconds of each reservation, sorted, and of all rounds together."""
    queue: multiprocessing.Queue[list[float]] = multiprocessing.Queue()
    ready = multiprocessing.Barrier(STATIONS + 1)
    running = [
        multiprocessing.Process(
            target=_station, args=(url, number, load), kwargs={"ready": ready, "out": queue}
        )
        for number in range(STATIONS)
    ]
    for one in running:
        one.start()
    took = 0.0
    for _ in range(load.rounds):
        ready.wait()
        start = time.perf_counter()
        ready.wait()
        took += time.perf_counter() - start
    results = [queue.get() for _ in running]
    for one in running:
        one.join()
    return sorted(each for result in results for each in result), took


def _p99_ms(times: list[float]) -> float:
    return times[int(len(times) * 0.99)] * 1000


def measure_postgresql(folder: Path, reserved: int) -> dict[str, float]:
    """Many processes on one pool: first as fast as they can, then at a pace."""
    from tests.support import postgres

    source = folder / "pg.csv"
    each = min(100, max(reserved // STATIONS, 1))
    rushing = Load(max(reserved // STATIONS // each, 1), each)
    pacing = Load(1, max(reserved // STATIONS // 100, 20), every_s=PACE_S, first=500_000)
    wanted = STATIONS * (rushing.rounds * rushing.each + pacing.each)
    write_csv(source, wanted)
    with postgres.running(on_disk=True) as server:
        url = server.create("ledger")
        import_s = import_all(url, source)
        rushed, took = _run_stations(url, rushing)
        paced, _ = _run_stations(url, pacing)
        with server.connect("ledger") as conn:
            assigned, tokens = conn.execute(
                "SELECT count(*), count(DISTINCT token) FROM assignment"
            ).fetchone()
        assert assigned == wanted
    return {
        "pg_p99_ms": _p99_ms(rushed),
        "pg_p50_ms": statistics.median(rushed) * 1000,
        "pg_per_s": len(rushed) / took,
        "pg_paced_p99_ms": _p99_ms(paced),
        "pg_paced_p50_ms": statistics.median(paced) * 1000,
        "pg_reserved": assigned,
        "pg_duplicates": assigned - tokens,
        "pg_import_s": import_s,
    }


def measure_check(folder: Path, events: int) -> dict[str, float]:
    """``ledger check`` on a ledger with so many events: notes, chained as ever, put in in bulk."""
    url = f"sqlite:///{folder / 'events.db'}"
    source = folder / "events.csv"
    write_csv(source, 1000)
    import_all(url, source)
    with opened(url) as ledger:
        setup = ledger._setup

        def grow(conn: sa.Connection) -> None:
            before = chain.head(conn, setup.info.station)
            last = conn.execute(sa.select(sa.func.max(schema.event.c.id))).scalar_one()
            rows = []
            for number in range(1, events + 1):
                told = (
                    setup.info.station, before.seq + 1, setup.now(), "note", "bench", None, None,
                    None, None, None, None, "", chain.to_json({"n": number}),
                )  # fmt: skip
                digest = chain.digest_of(before.hash, told)
                rows.append((last + number, *told, before.hash, digest))
                before = chain.Head(before.seq + 1, digest)
                if len(rows) == 10_000 or number == events:
                    setup.db.bulk(conn, schema.event, rows)
                    rows.clear()

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
    parser.add_argument(
        "--quick", action="store_true", help="a fiftieth of everything, and it says so"
    )
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
        size = f"{options.tokens} tokens, {options.events} events, {options.pg} on PostgreSQL"
        print(json.dumps(figures | {"size": size, "compared": COMPARED}))
    else:
        for figure, value in figures.items():
            print(f"{figure:24} {value:,.3f}")
        if options.quick:
            print(f"quick: {options.tokens} tokens and events instead of 1,000,000")
        print(COMPARED)


if __name__ == "__main__":
    main()
