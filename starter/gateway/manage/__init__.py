"""The prescriber's own pages, `/manage-tokens`: every screen of the article "Manage Tokens". Lists come from the database; a
single token from its journey, or from the database where that does not answer. Nobody sees or touches another's token:
`tokens.py` finds a token only for its prescriber, and whatever a form names is looked up there."""
