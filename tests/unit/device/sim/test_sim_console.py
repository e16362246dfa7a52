"""What a simulated firmware's console stores, and how it answers."""

import io

from esp_idf_nvs_partition_gen.nvs_partition_gen import Page, nvs_close, nvs_open

from eol_inject.sim.console import Console, Facts
from eol_inject.sim.firmware import nvs_of, nvs_token

TOKEN = "T" * 31 + "1"


def test_its_nvs_is_what_espressifs_own_writer_makes():
    """Byte for byte: so the readers are not tried on an invention."""
    out = io.BytesIO()
    store = nvs_open(out, 0x5000 - 0x1000, Page.VERSION2)
    store.write_namespace("blynk")
    for key, value in (("auth", TOKEN), ("host", "blynk.cloud")):
        store.write_entry(key, value, "string", store.get_namespace_idx())
    nvs_close(store)
    made = nvs_of({"auth": TOKEN, "host": "blynk.cloud"}, 0x5000)
    assert made == out.getvalue()
    assert nvs_token(made) == TOKEN.encode()


def said(*lines: str, dialect: str = "edgent", echo: bool = False) -> tuple[str, list[str]]:
    """What the console says to ``lines``, and what it stored."""
    heard, kept = [], [""]
    console = Console(
        dialect, Facts("60:55:f9:00:00:01", "TMPL1"), store=lambda auth, _: kept.append(auth),
        stored=lambda: kept[-1], say=heard.append, echo=echo,
    )  # fmt: skip
    for line in lines:
        console.receive(line.encode())
    return "".join(heard), kept[1:]


def test_a_token_of_the_wrong_size_is_refused_as_blynks_library_does():
    """And stores nothing."""
    heard, kept = said("connect short\n")
    assert '"status":"error","msg":"invalid token size"' in heard
    assert kept == []


def test_a_line_counts_once_however_it_ends_and_whenever_it_comes():
    """CR LF is one end; bytes may come one by one; an echo repeats the line."""
    heard, kept = said(*f"connect {TOKEN}\r\n", echo=True)
    assert kept == [TOKEN]
    assert heard.count(TOKEN) == 1
    assert heard.count('"status":"OK"') == 1
