"""Which ledger this is, where it lives, and which stations have to speak: told as a whole.

These few rows decide whether a restored ledger may hand out tokens, so the log vouches for them:
each event that follows a change of them carries the digest of them all.
"""

import sqlalchemy as sa

from eol_inject.ledger.chain import Entry, Setup, append, digest_of_row
from eol_inject.ledger.schema import meta, station

FACT = "marks"


def digest(conn: sa.Connection) -> str:
    """Of every row of ``meta`` and ``station``, as they stand."""
    rows = {f"meta {row.key}": row.value for row in conn.execute(sa.select(meta))}
    known = conn.execute(sa.select(station))
    return digest_of_row(rows | {f"station {row.name}": [row.host, row.since] for row in known})


def tell(conn: sa.Connection, setup: Setup) -> None:
    """For a change that no other event tells of."""
    append(conn, setup, Entry("marks", facts={FACT: digest(conn)}))
