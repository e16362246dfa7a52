"""Streams put together from pieces: what a stub inflates, and what is kept."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from eol_inject.device.packing import Packer, Piece

PIECES = st.lists(st.builds(Piece, st.binary(max_size=3000), st.booleans()), max_size=6)


@given(PIECES)
def test_any_pieces_make_one_sound_stream(pieces):
    """zlib itself inflates it, whole, and finds its own checksum right."""
    inflate = zlib.decompressobj()
    whole = b"".join(piece.data for piece in pieces)
    assert inflate.decompress(Packer().pack(pieces)) == whole
    assert inflate.eof
    assert inflate.unused_data == b""


def test_a_common_piece_is_made_once_and_a_units_own_is_never_kept():
    """What holds a token is gone with its stream."""
    packer = Packer()
    common, own = Piece(b"code" * 5000, common=True), Piece(b"token-of-one-unit" * 40)
    first = packer.pack([common, own])
    assert packer.pack([common, own]) == first
    kept = list(packer._made.values())
    assert len(kept) == 1
    assert zlib.decompressobj(-15).decompress(kept[0]) == common.data


def test_what_is_kept_does_not_grow_for_ever():
    """A line that changes products all day does not run out of memory."""
    packer = Packer()
    for number in range(100):
        packer.pack([Piece(bytes([number]) * 100, common=True)])
    assert len(packer._made) == 32
