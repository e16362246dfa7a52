"""What patching costs.

``patch_seal_ms``, ``patch_vs_sha256``, ``batch_10000_s``, ``batch_peak_mb``, ``inspect_16mb_s``.

The application is esptool's own container of 1.2 MB around random bytes, the region in its middle.
A patch is the whole way from the file's bytes: find, prove, judge the seal, encode, seal again.
"""

import argparse
import hashlib
import json
import random
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from eol_inject.image import Golden, describe, patch  # noqa: E402  # the folder above is on the path now
from eol_inject.image.spec import BlnkoptSpec  # noqa: E402  # as above
from eol_inject.unit import AuthToken  # noqa: E402  # as above
from tests.support import firmware  # noqa: E402  # as above

APP_SIZE = 1_200_000
LIMITS = {
    "patch_seal_ms": 10.0,
    "patch_vs_sha256": 5.0,
    "batch_10000_s": 60.0,
    "batch_peak_mb": 16.0,
    "inspect_16mb_s": 0.5,
}
SPECS = (BlnkoptSpec(kind="blnkopt"),)


def application() -> bytes:
    """1.2 MB of application for ESP32."""
    dice = random.Random(1)
    constants = firmware.blnkinf() + firmware.blnkopt()
    half = (APP_SIZE - 4096) // 2
    return firmware.make_app("esp32", dice.randbytes(half) + constants + dice.randbytes(half))


def fastest_ms(rounds: int, *works: Callable[[], object]) -> list[float]:
    """Of each, the least disturbed of ``rounds``, taken in turn; milliseconds."""
    best = [float("inf")] * len(works)
    for _ in range(rounds):
        for index, work in enumerate(works):
            start = time.perf_counter()
            work()
            best[index] = min(best[index], time.perf_counter() - start)
    return [seconds * 1000 for seconds in best]


def token(number: int) -> AuthToken:
    """One of many."""
    return AuthToken(f"{number:032}")


def batch(golden: bytes, units: int) -> tuple[float, float]:
    """Seconds for ``units`` patches and plans; then the peak of memory in MB, over 200 of them."""
    judged = Golden(golden, SPECS)
    start = time.perf_counter()
    for number in range(units):
        judged.plan(judged.patch(token(number), {}), 0x10000)
    seconds = time.perf_counter() - start
    tracemalloc.start()
    for number in range(min(units, 200)):
        judged.plan(judged.patch(token(number), {}), 0x10000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return seconds, peak / 1e6


def measure(*, quick: bool) -> dict[str, float | int]:
    """Every figure."""
    golden = application()
    sha, whole = fastest_ms(
        50 if quick else 200,
        lambda: hashlib.sha256(golden).digest(),
        lambda: patch(golden, SPECS, token(1), {}, expect_type="TMPLsample01"),
    )
    units = 500 if quick else 10_000
    seconds, peak = batch(golden, units)
    flash = firmware.merge(golden).ljust(16 * 1024 * 1024, b"\xff")
    return {
        "patch_seal_ms": round(whole, 2),
        "patch_vs_sha256": round(whole / sha, 2),
        "batch_10000_s": round(seconds * 10_000 / units, 1),
        "batch_peak_mb": round(peak, 1),
        "inspect_16mb_s": round(fastest_ms(5, lambda: describe(flash))[0] / 1000, 3),
        "sha256_ms": round(sha, 2),
        "bytes": len(golden),
        "units": units,
    }


def main() -> int:
    """Exit code 1 where a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and units")
    options = parser.parse_args()
    figures = measure(quick=options.quick)
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            limit = f"   (limit {LIMITS[name]:g})" if name in LIMITS else ""
            print(f"{name:<16} {value}{limit}")
    return int(any(float(figures[name]) > limit for name, limit in LIMITS.items()))


if __name__ == "__main__":
    raise SystemExit(main())
