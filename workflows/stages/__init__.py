"""The stages of a token's journey, in the help article's order; each waits on the state, none is called by a handler."""
