"""Is a chip on the port? Asked of its ROM loader, and as gently as that can be.

A chip that runs its application can only be asked by a reset. It is left in its loader then, and
greeted there without another one for as long as it answers.
"""

from collections.abc import Callable
from typing import Final

from eol_inject.device.esp import EspDevice, open_esp
from eol_inject.device.esp_link import SAFE_BAUD
from eol_inject.device.spec import DeviceSpec
from eol_inject.errors import EolError, UnitError

_LOOK_S: Final = 5.0
"""How long one look may take, whatever talks on the port."""


class EspWatch:
    """See ``eol_inject.device.Watch``. Holds the port while a chip is there."""

    def __init__(
        self,
        url: str,
        spec: DeviceSpec,
        *,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self._url = url
        self._spec = spec.model_copy(
            update={"attempts": 1, "deadline_s": _LOOK_S, "first_baud": SAFE_BAUD}
        )
        self._sleep = sleep
        self._clock = clock
        self._device: EspDevice | None = None

    def look(self) -> bool:
        """A chip that must not be worked on is one nevertheless: the cycle says what is wrong."""
        try:
            if self._device is None:
                self._device = self._open()
            there = self._device.greet(within_s=_LOOK_S)
        except UnitError:
            return True
        except EolError:
            there = False
        if not there:
            self.close()
        return there

    def close(self) -> None:
        """Let the port go, with the application running."""
        if self._device is not None:
            self._device.close()
            self._device = None

    def _open(self) -> EspDevice:
        return open_esp(
            self._url,
            self._spec,
            sleep=self._sleep,
            clock=self._clock,
            log=None,
            aborted=lambda: False,
            waiting=lambda: None,
        )
