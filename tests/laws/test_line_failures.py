"""What went wrong on real lines: each of it is played or set up by a test that exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from eol_inject.sim.faults import FAULTS
from tests.support.source import ROOT

TESTS = ROOT / "tests"

HAPPENED: dict[str, tuple[str, ...]] = {
    # the unit and its port
    "no chip answers": (
        "contract/test_device_physics.py::test_a_chip_that_never_answers_ends_with_what_hands_can_do",
        "line/test_faults.py::test_a_fault_before_the_write_uses_no_token",
    ),
    "the automatic reset misses": (
        "contract/test_device_physics.py::test_resets_that_miss_are_repeated",
        "contract/test_device_physics.py::test_resets_that_keep_missing_end_with_what_hands_can_do",
        "line/test_faults.py::test_what_the_tool_can_mend_itself_passes",
    ),
    "the stub does not arrive or does not start": (
        "contract/test_device_physics.py::test_without_the_stub_the_rom_loader_does_it_once_and_says_so",
        "contract/test_device_physics.py::test_a_stub_that_is_damaged_on_its_way_is_sent_slower",
        "contract/test_device_physics.py::test_an_esp8266_without_a_stub_is_given_up",
    ),
    "high baud corrupts data, hubs sag": (
        "contract/test_device_physics.py::test_a_rate_that_damages_bytes_is_stepped_down",
        "line/test_faults.py::test_a_slot_that_stepped_down_begins_lower_with_its_next_unit",
        "line/test_faults.py::test_a_first_sync_that_fails_costs_its_slot_one_unit_the_time",
        "unit/station/test_pace.py::test_a_slot_that_stepped_down_begins_lower_and_climbs_back",
    ),
    "bytes are lost or flipped at every rate": (
        "contract/test_device_physics.py::test_the_slowest_rate_has_nothing_below_it",
        "contract/test_device_physics.py::test_an_answer_whose_end_got_lost_is_damage",
        "line/test_faults.py::test_a_noisy_line_ends_in_a_word_and_harms_nothing",
    ),
    "the unit hangs, also in the middle of an answer": (
        "contract/test_device_physics.py::test_a_chip_that_dies_in_the_middle_of_its_answer_is_silent_not_noisy",
        "contract/test_device_physics.py::test_the_deadline_ends_a_session_wherever_it_is",
        "line/test_faults.py::test_a_fault_while_writing_is_carried_on_with_the_same_token",
    ),
    "unplugged at any byte of any phase": (
        "unit/device/sim/test_sim_faults.py::test_unplugged_in_every_phase",
        "line/test_faults.py::test_a_fault_before_the_write_uses_no_token",
        "line/test_faults.py::test_a_fault_while_writing_is_carried_on_with_the_same_token",
        "line/test_campaign.py::test_a_short_campaign",
    ),
    "brown-out while erasing": (
        "contract/test_device_physics.py::test_a_brown_out_while_erasing_is_no_verdict_on_the_flash",
    ),
    "bad sector, or a sum that differs": (
        "contract/test_device_physics.py::test_a_bad_sector_is_named",
        "line/test_faults.py::test_bad_flash_fails_the_unit_and_keeps_the_token_back",
    ),
    "another unit after the identity was read": (
        "contract/test_device_physics.py::test_swapped_between_identity_and_write_neither_unit_is_changed",
        "line/test_faults.py::test_a_unit_swapped_in_the_middle_harms_neither",
        "line/test_faults.py::test_a_swap_before_the_last_identity_prints_no_label",
    ),
    "another unit in the middle of a write": (
        "contract/test_device_physics.py::test_swapped_in_the_middle_of_a_write_the_other_unit_stays_clean",
        "contract/test_device_physics.py::test_plain_esptool_does_write_into_the_other_unit",
    ),
    "the port is enumerated anew under another name": (
        "line/test_slots.py::test_a_port_that_comes_back_under_another_name_is_found_by_its_place",
        "unit/device/test_inventory.py::test_bridges_with_one_serial_number_are_ambiguous",
    ),
    "another program grabs the port": (
        "line/test_slots.py::test_a_real_port_that_another_program_holds_is_named",
        "contract/test_device_physics.py::test_a_real_port_without_a_chip_names_whoever_else_has_it_open",
    ),
    "the firmware starts over and over": (
        "line/test_boot_log.py::test_a_unit_that_does_not_start_gets_no_label",
    ),
    "the unit was done before": (
        "line/test_run.py::test_a_closed_unit_is_told_so_and_keeps_every_byte",
    ),
    "the unit was erased": ("line/test_holdings.py::test_an_erased_unit_is_not_served_again",),
    "the unit is a clone, or two modules have one MAC": (
        "line/test_holdings.py::test_a_clone_of_another_unit_is_stopped",
        "line/test_two_ports.py::test_a_copy_at_another_port_waits_and_gets_nothing",
    ),
    "a module moved to another board": (
        "line/test_rework.py::test_identifiers_that_contradict_each_other_are_refused",
    ),
    "wrong chip": ("line/test_holdings.py::test_another_chip_is_refused",),
    "wrong flash size, or an empty identity": (
        "line/test_faults.py::test_a_unit_that_must_not_be_begun_costs_no_token",
    ),
    "wrong product": ("line/test_run.py::test_inject_refuses_another_firmware",),
    "flash encryption or secure boot": (
        "line/test_holdings.py::test_a_protected_chip_is_refused_before_a_byte",
        "line/test_protected.py::test_an_open_or_signed_chip_is_not_taken_for_an_encrypted_one",
    ),
    "a stale configuration wins over the token": (
        "line/test_holdings.py::test_a_stale_configuration_is_refused_or_erased",
    ),
    "a patched image is refused at boot": (
        "line/test_firmware_patch.py::test_a_patched_image_is_one_that_esptool_calls_valid",
    ),
    # the station
    "one bad fixture fails good units in a row": (
        "line/test_limits.py::test_units_that_fail_alike_block_their_slot_until_a_good_one_passes",
    ),
    "one unit fails again and again": (
        "line/test_limits.py::test_a_unit_that_keeps_failing_is_blocked_until_a_lead_clears_it",
    ),
    "the verdict stays for the next unit, or goes too early": (
        "line/test_slots.py::test_units_come_and_leave_by_themselves",
        "line/test_slots.py::test_a_finished_unit_that_is_polled_is_left_in_peace",
    ),
    "a failure before the identity leaves no trace": (
        "contract/test_ledger.py::test_an_attempt_without_a_unit_is_kept",
    ),
    "the station dies in mid-unit": ("line/test_kill.py::test_killed_at",),
    "the disk is full, the clock set back, the ledger copied": (
        "line/test_trouble.py::test_a_full_disk_starts_nothing",
        "line/test_trouble.py::test_a_clock_set_back_a_day_holds_nobody_up",
        "contract/test_ledger_home.py::test_a_copied_file_is_refused_on_the_other_computer",
    ),
    "a backup was restored": (
        "contract/test_ledger_restore.py::test_no_token_is_given_twice_after_a_restore",
    ),
    "several writers on one ledger": (
        "unit/ledger/test_ledger_processes.py::test_two_processes_never_draw_the_same_token",
    ),
    "rework is blocked by an old state": (
        "line/test_rework.py::test_a_quarantined_unit_goes_on_after_it_was_cleared",
    ),
    "the export stays in the downloads": (
        "line/test_desk.py::test_the_source_goes_only_when_that_was_said",
    ),
    # the label
    "a label says another unit's code": (
        "unit/label/test_label_render.py::test_another_units_code_is_not_printed",
    ),
    "the print succeeded and no label came": (
        "line/test_labels.py::test_a_label_of_unknown_fate_is_a_question",
    ),
    "a stalled queue prints a burst": (
        "unit/label/test_label_zpl_printer.py::test_a_fault_after_sending_is_unknown_and_leaves_no_stale_job",
    ),
    "neighbours' labels are swapped": (
        "line/test_slots.py::test_slots_share_a_printer_one_label_at_a_time",
        "line/test_labels.py::test_the_marks_of_the_board_and_the_label_make_a_pair",
    ),
    "a void copy is stuck on": ("line/test_label_desk.py::test_a_void_label_is_told_by_its_id",),
    "no media, and the unit is written already": (
        "line/test_labels.py::test_a_printer_that_cannot_print_stops_the_station_before_a_token_is_drawn",
    ),
}  # fmt: skip
"""What happened to somebody → the tests that make it happen here."""


@cache
def defined(path: Path) -> frozenset[str]:
    """The test functions of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


@pytest.mark.parametrize("what", HAPPENED)
def test_what_happened_to_others_is_tested(what: str) -> None:
    """A test that is renamed or dropped is missed here."""
    for place in HAPPENED[what]:
        file, _, name = place.partition("::")
        assert name in defined(TESTS / file), place


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_goes_through_the_whole_command_line(name: str) -> None:
    """What can be played is played against a whole station, not against the adapter alone."""
    played = re.compile(rf"[\"'=]{name}[@=\",{{&']")
    texts = [path.read_text(encoding="utf-8") for path in (TESTS / "line").glob("test_*.py")]
    assert any(played.search(text) for text in texts)
