"""What a profile says about an external programmer: ``[programmer]``.

A programmer is a command (avrdude, stm32flash, openocd, …) that reaches the unit over the slot's
port. It is given as argument lists, run without a shell and with a time limit. What it writes goes
through a pipe or an owner-only file in memory: a token is never an argument, and never on a disk.
"""

import re
from string import Formatter
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from eol_inject.device.identity import IDENTITIES
from eol_inject.device.spec import Pattern
from eol_inject.specs import Spec

ALWAYS = frozenset({"port", "baud", "chip"})
"""What every command may name in braces."""

SIMULATED = "sim-programmer"
"""Stands for ``python -m eol_inject.sim.programmer``, whose units are for training ledgers."""

CONTENT = frozenset({"file", "address", "size"})
"""What a command that writes or reads may name as well: the file in memory, the first address (as
``0x…``), the number of bytes."""


def _known_names(argument: str) -> str:
    """Only plain names in braces, and only those that a command can be given."""
    for _, name, form, conversion in Formatter().parse(argument):
        if name is not None and (name not in ALWAYS | CONTENT or form or conversion):
            known = ", ".join(sorted(ALWAYS | CONTENT))
            raise ValueError(f"{{{name}}} is not known here; known: {known}; {{{{ is a brace")
    return argument


Argument = Annotated[str, AfterValidator(_known_names)]


class CommandSpec(Spec):
    """One run of an external program, judged by its exit code and by what it says."""

    run: tuple[Argument, ...] = Field(
        min_length=1,
        description="The program and its arguments; {port}, {baud}, {chip} and, where bytes move, "
        "{file}, {address}, {size}",
    )
    typed: tuple[Argument, ...] = Field(
        (), description="Lines for its standard input: the commands of a programmer's terminal"
    )
    expect: tuple[Pattern, ...] = Field(
        (), description="Each must match what it says, besides exit code 0; named groups are facts"
    )
    timeout_s: float = Field(30.0, gt=0, le=600, description="Seconds until it is ended")

    @property
    def names(self) -> frozenset[str]:
        """The names in braces."""
        texts = (*self.run, *self.typed)
        found = (name for one in texts for _, name, _, _ in Formatter().parse(one))
        return frozenset(name for name in found if name is not None)

    @property
    def groups(self) -> frozenset[str]:
        """The facts that its patterns tell."""
        return frozenset(name for one in self.expect for name in re.compile(one).groupindex)


class TransferSpec(CommandSpec):
    """A command that moves bytes: on its standard input or output, or through ``{file}``."""

    format: Literal["hex", "bin", "dump"] = Field(
        "hex",
        description="hex: Intel HEX; bin: the bytes from {address} on; dump (reading only): lines "
        "of an address and bytes, both in hex, as avrdude's `dump` prints them",
    )

    @property
    def by_file(self) -> bool:
        """Whether the bytes go through a file in memory; else through a pipe."""
        return "file" in self.names

    @property
    def in_ranges(self) -> bool:
        """Whether it reads just what it is asked for."""
        return {"address", "size"} <= self.names


class MemorySpec(Spec):
    """One memory of the unit, and how the programmer reaches it."""

    size: int = Field(gt=0, le=64 * 1024 * 1024, description="Bytes it has")
    page: int = Field(1, gt=0, le=65536, description="Bytes that are written together")
    gaps: Literal["skip", "fill"] = Field(
        "skip",
        description="fill: a whole image is written from address 0 on, erased bytes where it has "
        "none, for boot loaders that count pages themselves",
    )
    write: TransferSpec
    write_part: TransferSpec | None = Field(
        None, description="For mode = 'inject': whole pages, all else stays; default: write"
    )
    read: TransferSpec | None = Field(None, description="All of it, or {address} and {size}")
    peek: TransferSpec | None = Field(
        None, description="A few bytes, by {address} and {size}, where `read` takes long"
    )

    @model_validator(mode="after")
    def _moves_bytes(self) -> Self:
        for name in ("write", "write_part"):
            command = getattr(self, name)
            if command is not None and command.format == "dump":
                raise ValueError(f"{name}: a dump cannot be written; take hex or bin")
            if command is not None and command.typed and not command.by_file:
                raise ValueError(f"{name}: its standard input is what is written; type nothing")
        if self.peek is not None and not self.peek.in_ranges:
            raise ValueError("peek needs {address} and {size} among its arguments")
        if self.gaps == "fill" and self.write_part is not None:
            raise ValueError("gaps = 'fill' writes the image whole: it has no write_part")
        if self.peek is not None and self.read is None:
            raise ValueError("peek needs a `read` beside it: what was written is read whole")
        return self


class SaysSpec(Spec):
    """What something that the programmer says means: so that the operator reads our sentence."""

    match: Pattern = Field(description="Regular expression, looked for in all it says")
    means: Literal[
        "no_sync", "wrong_chip", "verify_failed", "port_missing", "port_busy", "port_denied"
    ] = Field(description="The last word of our own code for it")


class ProgrammerSpec(Spec):
    """The ``[programmer]`` table."""

    chip: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,39}$",
        description="The chip as the programmer calls it: {chip}",
    )
    version: CommandSpec | None = Field(
        None, description="Run once, for the records: its group `version`"
    )
    identify: CommandSpec = Field(
        description="Proves that the right chip answers. Groups mac, serial or uid name the unit"
    )
    require: dict[str, str] = Field(
        default_factory=dict, description="Group of `identify` → what it has to say"
    )
    serial: Pattern | None = Field(
        None,
        description="Where the chip has no identity of its own: what a scanned serial number "
        "looks like, all of it",
    )
    flash: MemorySpec
    eeprom: MemorySpec | None = None
    reset: CommandSpec | None = Field(
        None, description="Starts the firmware for [boot]; default: opening the port does"
    )
    says: tuple[SaysSpec, ...] = Field((), description="First match counts")
    proof: Literal["read_back", "reply"] = Field(
        "read_back",
        description="read_back: the programmer reads the token; reply: it cannot, and [boot] is "
        "what the firmware says once it has one",
    )

    @model_validator(mode="after")
    def _names_the_unit(self) -> Self:
        told = bool(self.identify.groups & IDENTITIES)
        if told == (self.serial is not None):
            raise ValueError(
                "either `identify` has a group mac, serial or uid, or `serial` says what a scanned "
                "serial number looks like"
            )
        if missing := sorted(set(self.require) - self.identify.groups):
            raise ValueError(f"`require` names '{missing[0]}', which no pattern of identify has")
        if self.version is not None and "version" not in self.version.groups:
            raise ValueError("version needs a group (?P<version>…)")
        for name in ("identify", "version", "reset"):
            command = getattr(self, name)
            if command is not None and (strange := sorted(command.names & CONTENT)):
                raise ValueError(f"{name} moves no bytes: {{{strange[0]}}} means nothing to it")
        return self

    @model_validator(mode="after")
    def _simulated_or_real(self) -> Self:
        if len({command.run[0] == SIMULATED for command in self.commands}) > 1:
            raise ValueError(f"either every command is {SIMULATED} or none: units are real or not")
        return self

    @property
    def simulated(self) -> bool:
        """Whether its units are made up."""
        return self.identify.run[0] == SIMULATED

    @property
    def commands(self) -> tuple[CommandSpec, ...]:
        """Every command that a run may need."""
        memories = [memory for memory in (self.flash, self.eeprom) if memory is not None]
        moving = (
            (memory.write, memory.write_part, memory.read, memory.peek) for memory in memories
        )
        found = (self.version, self.identify, self.reset, *(one for row in moving for one in row))
        return tuple(command for command in found if command is not None)
