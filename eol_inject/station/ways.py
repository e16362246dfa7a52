"""Which way a profile's tokens get into its units."""

from collections.abc import Callable

from eol_inject.ledger import Ledger
from eol_inject.profiles import Profile
from eol_inject.station.console_way import open_console_way
from eol_inject.station.encrypted_way import open_encrypted_way
from eol_inject.station.flash_way import open_flash_way
from eol_inject.station.programmer_way import open_programmer_way
from eol_inject.station.way import Way


def open_way(profile: Profile, ledger: Ledger, *, aborted: Callable[[], bool]) -> Way:
    """The way of a run, with the profile's files judged. ``aborted``: somebody lets go at once.

    Raises ``UsageError`` with image's own codes, ``StationError("device.programmer_missing")``.
    """
    if profile.spec.console is not None:
        return open_console_way(profile, ledger, aborted=aborted)
    if profile.spec.programmer is not None:
        return open_programmer_way(profile, ledger, aborted=aborted)
    if profile.spec.device.security == "encrypted":
        return open_encrypted_way(profile, ledger, aborted=aborted)
    return open_flash_way(profile, ledger, aborted=aborted)
