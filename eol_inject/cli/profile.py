"""``eol-inject profile``: the products this station can make."""

import json

import click

from eol_inject.cli.answer import Answer
from eol_inject.cli.common import json_option


@click.group()
def profile() -> None:
    """List and check product profiles."""


@profile.command("list")
@json_option
def list_profiles(as_json: bool) -> Answer:
    """List the profiles that come with this installation."""
    from eol_inject import profiles, report

    loaded = [profiles.load(name) for name in profiles.shipped()]
    rows = [
        (each.name, each.chip_name, each.spec.device.mode, each.spec.description) for each in loaded
    ]
    return Answer(
        data={
            "profiles": [
                dict(zip(("name", "chip", "mode", "description"), row, strict=True)) for row in rows
            ]
        },
        lines=[report.table(("profile", "chip", "mode", "description"), rows)],
    )


@profile.command()
@click.argument("name", metavar="NAME|FILE")
@json_option
def check(name: str, as_json: bool) -> Answer:
    """Check one profile: its keys, its image, its region, its label template."""
    from eol_inject import profiles, report
    from eol_inject.acts.check_profile import check_profile

    found = check_profile(profiles.load(name))
    facts = {
        "profile": found.name,
        "sha256": found.sha256,
        "chip": found.chip,
        "mode": found.mode,
        "product": found.product,
        "golden image": found.image,
        "image sha256": found.image_sha256,
        "firmware": found.firmware,
        "region": found.region,
        "changed sectors": found.sectors,
        "label template": found.template,
    }
    return Answer(
        data={key.replace(" ", "_"): value for key, value in facts.items()}
        | {"warnings": list(found.warnings)},
        lines=[
            report.pairs(facts),
            *(f"warning: {warning}" for warning in found.warnings),
            "The profile is sound.",
        ],
    )


@profile.command()
@json_option
def schema(as_json: bool) -> Answer:
    """Print the JSON Schema of a profile, for editors."""
    from eol_inject import profiles

    form = profiles.json_schema()
    return Answer(data={"schema": form}, lines=[json.dumps(form, indent=2)])
