"""What the documents say about the code is so."""

import re
import tomllib

from eol_inject.device.console_presets import PRESETS
from eol_inject.device.spec import ConsoleSpec
from eol_inject.events import Stage
from eol_inject.ledger import TRANSITIONS
from tests.support.source import PACKAGE, ROOT

ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
DOCUMENTS = sorted(ROOT.glob("*.md"))


def test_the_table_of_states_is_the_one_in_the_code() -> None:
    """Every move that ARCHITECTURE.md names exists, and every one that exists is named."""
    rows = re.findall(
        r"^\| ([a-z, ]+) \| ([a-z]+) \| ([a-z]+) \| ([a-z]+) \| *(needed)? *\|$",
        ARCHITECTURE,
        re.MULTILINE,
    )
    told = {
        (source, act, target, who, bool(reason))
        for sources, act, target, who, reason in rows
        for source in sources.split(", ")
    }
    assert told == {
        (row.source.value, row.act.value, row.target.value, row.who.value, row.needs_reason)
        for row in TRANSITIONS
    }


def test_every_folder_and_leaf_stands_in_the_layout() -> None:
    """Who looks for a module finds its place in ARCHITECTURE.md."""
    layout = ARCHITECTURE[ARCHITECTURE.index("## Layout") :]
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    leaves = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert {name for name in folders if f"  {name}/ " not in layout} == set()
    assert {name for name in leaves if name not in layout} == set()


def test_the_stages_are_named_in_order() -> None:
    """Seven words carry the house."""
    assert ", ".join(stage.value for stage in Stage) in ARCHITECTURE


def test_links_between_the_documents_lead_somewhere() -> None:
    """A file or a heading that moved takes its links along."""
    broken = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
            name, _, anchor = target.partition("#")
            path = ROOT / name if name else document
            if not path.is_file():
                broken.append(f"{document.name}: {target}")
            elif anchor:
                headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
                slugs = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
                if anchor not in slugs:
                    broken.append(f"{document.name}: {target}")
    assert broken == []


def test_the_first_screen_of_the_readme_starts_both() -> None:
    """Whoever opens it sees how to try it without scrolling."""
    first = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:24])
    assert "make demo" in first
    assert "make test" in first
    assert "python -m venv" in first


def test_the_consoles_in_the_readme_are_sound() -> None:
    """Both tables load as they stand there, and every preset has its row."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    part = text.split("### Console products\n")[1].split("\n### ")[0]
    blocks = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", part, re.DOTALL)]
    specs = [ConsoleSpec.model_validate(block["console"]) for block in blocks]
    assert [spec.preset for spec in specs] == ["edgent", None]
    assert re.findall(r"^\| `([a-z-]+)` \|", part, re.MULTILINE) == list(PRESETS)
