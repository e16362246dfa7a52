"""A ledger stays as fast as on its first day: what its statements look through does not grow."""

import pytest

from eol_inject.ledger import draw
from tests.support.ledger import LOT, ORGANIZATION, PRODUCT, fill

_EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN "}
_BY_POOL = {
    "sqlite": "SEARCH token USING INDEX token_pool",
    "postgresql": "Index Scan using token_pool",
}


@pytest.mark.parametrize("organization", [None, ORGANIZATION])
def test_the_next_token_is_found_past_those_that_are_used(empty, organization):
    """By the pool's own index, also where the database knows by now that all rows fit."""
    fill(empty, 2000)
    values = {"p": PRODUCT, "l": LOT, "o": organization}
    statement = draw.next_token(any_organization=organization is None)
    with empty._setup.db.engine.connect() as conn:
        engine = conn.dialect.name
        conn.exec_driver_sql("ANALYZE")
        made = statement.compile(dialect=conn.dialect)
        names = made.positiontup or ()
        given = made.params | values
        plan = conn.exec_driver_sql(
            _EXPLAIN[engine] + made.string,
            tuple(given[name] for name in names) if names else given,
        ).all()
    assert any(_BY_POOL[engine] in str(row) for row in plan), plan
