"""The application's database with many journeys in every status, made by the database itself so that 100,000 take seconds."""

from sqlalchemy import Engine, text

_STATUSES = (
    (3, "Requested"), (4, "Processed"), (6, "Shipped"), (7, "Delivered"), (8, "Syncing"), (20, "Active"),
)  # fmt: skip
"""Up to which twentieth of all: most tokens are active, and have been for long."""
_STATUS = "CASE " + " ".join(f"WHEN n % 20 < {below} THEN '{status}'" for below, status in _STATUSES) + " END"
_KIND = "CASE WHEN n % 10 < 7 THEN 'hard' ELSE 'soft' END"
_REACHED = {status: place for place, (_, status) in enumerate(_STATUSES)}
_ADDRESS = '{"name": "A Prescriber", "street1": "1 Main", "city": "Burlington", "state": "VT", "postal_code": "05401"}'
_PROMISES = '[{"what": "processed in time", "due": "2026-01-08T12:00:00Z", "met_at": null, "broken": null}]'


def _since(status: str, after: str) -> str:
    """When that status was reached, for those that have."""
    later = ", ".join(f"'{name}'" for name, place in _REACHED.items() if place >= _REACHED[status])
    return f"CASE WHEN status IN ({later}) THEN requested_at + interval '{after}' END"


_PEOPLE = f"""
INSERT INTO prescribers (prescriber_id, practice_id, name, email, npi, dea_number, address, id_proofed)
SELECT 'FP-' || lpad(n::text, 7, '0'), (ARRAY['lakeside','prairie','animas','ponderosa','redwood','bayfront'])[1 + n % 6],
       'A Prescriber', 'p' || n || '@bench.example', '2405071374', 'GA9912737', '{_ADDRESS}', true
FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n"""  # noqa: S608  # constants of this file
_JOURNEYS = f"""
INSERT INTO journeys (journey_id, first_run_id, prescriber_id, kind, status, live, email, shipping_address, serial_number,
                      tracking_number, needs_attention, action_due_by, requested_at, processed_at, shipped_at, delivered_at,
                      enrolled_at, active_at, promises, policy)
SELECT 'fill-' || lpad(n::text, 7, '0'), 'run-' || n, 'FP-' || lpad(n::text, 7, '0'), kind, status, true,
       'p' || n || '@bench.example', '{_ADDRESS}', CASE WHEN status <> 'Requested' THEN 'FT-' || lpad(n::text, 7, '0') END,
       CASE WHEN status NOT IN ('Requested', 'Processed') THEN 'TKN' || lpad(n::text, 12, '0') END,
       CASE WHEN n % 100 = 0 THEN 'a party is down' END,
       CASE WHEN status <> 'Active' THEN now() + (n % 96 - 4) * interval '1 hour' END,
       requested_at, {_since("Processed", "4 hours")}, {_since("Shipped", "5 hours")}, {_since("Delivered", "3 days")},
       {_since("Syncing", "4 days")}, {_since("Active", "4 days 10 minutes")}, '{_PROMISES}', '{{}}'
FROM (SELECT n, {_KIND} AS kind, {_STATUS} AS status, now() - (n % 5000) * interval '37 minutes' AS requested_at
      FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n) AS made"""  # noqa: S608
_TOKENS = """
INSERT INTO tokens (serial_number, kind, batch, state, journey_id, algorithm, digits, digest, period, seed, taken_in_at,
                    counter, failures, failures_in_a_row, locked)
SELECT serial_number, kind, 'fill', CASE status WHEN 'Active' THEN 'active' WHEN 'Processed' THEN 'assigned' ELSE 'shipped' END,
       journey_id, 'HOTP', 6, 'SHA1', 0, decode(repeat('ab', 61), 'hex'), requested_at, 0, 0, 0, false
FROM journeys WHERE journey_id BETWEEN {first} AND {last} AND serial_number IS NOT NULL""".format(
    first="'fill-' || lpad(CAST(:first AS int)::text, 7, '0')", last="'fill-' || lpad(CAST(:last AS int)::text, 7, '0')"
)
_OTHERS = """
INSERT INTO audit_heads (journey_id, number, hash)
SELECT 'fill-' || lpad(n::text, 7, '0'), 3, repeat('0', 64) FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n"""
_PROMISED = """
INSERT INTO promises (run_id, number, journey_id, what, due, met_at)
SELECT 'run-' || n, p, 'fill-' || lpad(n::text, 7, '0'), (ARRAY['processed in time', 'delivered in time'])[p],
       now() - (n % 5000) * interval '37 minutes' + p * interval '1 day', CASE WHEN n % 20 > 7 THEN now() END
FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n, generate_series(1, 2) AS p"""


def fill(engine: Engine, first: int, last: int) -> None:
    """Journeys of these numbers, each with its prescriber and, once processed, its token. PostgreSQL only."""
    with engine.begin() as connection:
        for statement in (_PEOPLE, _JOURNEYS, _TOKENS, _OTHERS, _PROMISED):
            connection.execute(text(statement), {"first": first, "last": last})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # As autovacuum would some minutes later, in the middle of what is measured.
        connection.execute(text("VACUUM ANALYZE"))
        connection.execute(text("CHECKPOINT"))


def journey_id(number: int) -> str:
    return f"fill-{number:07d}"


def prescriber_id(number: int) -> str:
    return f"FP-{number:07d}"
