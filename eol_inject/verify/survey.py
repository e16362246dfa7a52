"""Looks at every place where the firmware would look, and says what it would really use.

Order of Blynk's firmware (blynk.md): a saved configuration that is marked valid beats the region;
the region counts only while there is none. New Edgent has no region: it takes its saved string,
after taking over classic's configuration. A product with a region of another kind is taken at its
profile's word: its firmware reads that region and nothing else.
"""

from collections.abc import Sequence
from dataclasses import replace

from eol_inject.verify import slots
from eol_inject.verify.content import PlaceState
from eol_inject.verify.flash import Flash, Reader
from eol_inject.verify.inside import Inside, look
from eol_inject.verify.outside import Outside, holds, look_at_own, look_at_saved
from eol_inject.verify.places import Findings, Place, PlaceKind
from eol_inject.verify.slots import Plan
from eol_inject.verify.spec import Blnkopt, NvsEntries, RegionAt, Where


def inspect(
    read: Reader, where: Where, *, flash_size: int, planned_table: bytes | None = None
) -> Findings:
    """What the unit behind ``read`` holds.

    ``planned_table``: the partition table that the cycle is going to write, so that the places it
    will bring into use are looked at too. A few kilobytes are read where the golden firmware is on
    the unit; another firmware is searched through.

    Raises ``UnitError("verify.beyond_flash")``, ``StationError("verify.short_read")``, and what
    ``planned_table`` is refused for. Damage on the unit is a finding, not an error.
    """
    flash = Flash(read, flash_size)
    plan = slots.layout(flash, where, planned_table)
    region = where.region
    apps = [inside for slot in plan.slots for inside in look(flash, slot, where, _inside(where))]
    own = [look_at_own(flash, place, region) for place in plan.own]
    saved = [look_at_saved(flash, place) for place in plan.saved] if region.edgent else []
    stale = [one for one in saved if one.holds_any(_beaten_by(region))]
    return _findings(plan, apps, own, saved, stale)


def _inside(where: Where) -> RegionAt | None:
    """The region to look for in applications.

    Classic Edgent reads its ``blnkopt`` too, also in a product that fills the struct in NVS.
    """
    region = where.region
    if region.inside:
        return region
    if isinstance(region.form, NvsEntries) and region.form.classic and where.hint is not None:
        return RegionAt(Blnkopt(), offset=where.hint, size=where.size)
    return None


def _beaten_by(region: RegionAt) -> frozenset[PlaceKind]:
    """The kinds of saved configuration that stand in the region's way."""
    if not isinstance(region.form, NvsEntries):
        return frozenset({PlaceKind.CONFIG, PlaceKind.AUTH})
    return frozenset() if region.form.classic else frozenset({PlaceKind.CONFIG})


def _findings(
    plan: Plan,
    apps: Sequence[Inside],
    own: Sequence[Place],
    saved: Sequence[Outside],
    stale: Sequence[Outside],
) -> Findings:
    starting = [app for app in apps if app.starts and app.place.bootable]
    live = [place for one in saved if one.saved.live for place in one.places]
    used = _used(starting, [place for place in own if place.bootable], live)
    places = [app.place for app in apps] + [*own] + [p for one in saved for p in one.places]
    return Findings(
        places=tuple(replace(place, used=place is used) for place in places),
        effective=used.auth if used is not None and used.state is PlaceState.TOKEN else None,
        table=plan.table,
        boots=starting[0].place.name if starting else "",
        boots_at=starting[0].application if starting else None,
        stale=tuple((one.saved.address, one.saved.size) for one in stale),
        lost=tuple(name for one in stale for name in one.others),
        notes=plan.notes,
        trouble=plan.trouble,
    )


def _used(starting: Sequence[Inside], own: Sequence[Place], saved: Sequence[Place]) -> Place | None:
    """The place that the application which starts takes its token from."""
    if not starting:
        return None
    for place in saved:
        if place.kind is PlaceKind.CONFIG and holds(place):
            return place
    if own:
        return own[0] if holds(own[0]) else None
    first = starting[0]
    if first.there:
        return first.place if first.place.state is PlaceState.TOKEN else None
    return next((p for p in saved if p.kind is PlaceKind.AUTH and holds(p)), None)
