"""Reads an ``nvs`` region: entries of one namespace in a partition that may hold others too."""

from eol_inject.verify import edgent, nvs
from eol_inject.verify.content import Content, PlaceState
from eol_inject.verify.nvs import Nvs
from eol_inject.verify.spec import NvsEntries, NvsEntry
from eol_inject.verify.values import judge

_CONFIG = "config"


def decode(data: bytes, form: NvsEntries) -> Content:
    """What the partition in ``data``, all of it, holds for ``form``."""
    return read(nvs.parse(data), form)


def read(partition: Nvs, form: NvsEntries) -> Content:
    """The same of a partition that was parsed already."""
    if partition.encrypted:
        return Content(PlaceState.ENCRYPTED, why="encrypted NVS")
    if partition.torn:
        return Content(PlaceState.TORN, why="a version of NVS that no known firmware reads")
    if form.classic:
        blob = partition.blob(form.namespace, _CONFIG)
        return Content(PlaceState.BLANK, why="not there") if blob is None else _classic(blob)
    texts = {entry.key: _text(partition, form.namespace, entry) for entry in form.entries}
    missing = sorted(key for key, text in texts.items() if text is None)
    if len(missing) == len(texts):
        return Content(PlaceState.BLANK, why="not there")
    templates = {entry.key: entry.value for entry in form.entries}
    there = {key: (templates[key], text) for key, text in texts.items() if text is not None}
    held = judge(there)
    if missing and held.state is PlaceState.TOKEN:
        return Content(PlaceState.TORN, held.auth, held.values, f"{missing[0]} is not there")
    return held


def _classic(blob: bytes) -> Content:
    return edgent.decode_config(blob)


def _text(partition: Nvs, namespace: str, entry: NvsEntry) -> str | None:
    """The entry's value as its template has it; None where there is none of that type."""
    if entry.type == "integer":
        number = partition.integer(namespace, entry.key)
        return None if number is None else str(number)
    if entry.type == "blob":
        blob = partition.blob(namespace, entry.key)
        return None if blob is None else blob.hex()
    string = partition.string(namespace, entry.key)
    return None if string is None else string.decode("utf-8", "replace")
