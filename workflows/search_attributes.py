"""The registry of search attributes: dev server, production server and tests all create these and no others.

They are plain text on the server, so no name, email, address, NPI or DEA number may stand in any of them.
"""

from temporalio.common import SearchAttributeKey

TOKEN_STATUS = SearchAttributeKey.for_keyword("TokenStatus")
TOKEN_KIND = SearchAttributeKey.for_keyword("TokenKind")
PRESCRIBER_ID = SearchAttributeKey.for_keyword("PrescriberId")
SERIAL_NUMBER = SearchAttributeKey.for_keyword("SerialNumber")
NEEDS_ATTENTION = SearchAttributeKey.for_bool("NeedsAttention")
ACTION_DUE_BY = SearchAttributeKey.for_datetime("ActionDueBy")

INCIDENT_STATUS = SearchAttributeKey.for_keyword("IncidentStatus")
"""Only `SecurityIncident` has it: Open, Overdue, Closed."""

REGISTRY: dict[str, str] = {
    TOKEN_STATUS.name: "Keyword",
    TOKEN_KIND.name: "Keyword",
    PRESCRIBER_ID.name: "Keyword",
    SERIAL_NUMBER.name: "Keyword",
    NEEDS_ATTENTION.name: "Bool",
    ACTION_DUE_BY.name: "Datetime",
    INCIDENT_STATUS.name: "Keyword",
}
"""Name to type, as `temporal operator search-attribute create` and the dev server's flag take them."""
