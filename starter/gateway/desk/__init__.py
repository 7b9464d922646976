"""The desk of the embedded stack, `/desk`: what whoever tries the system out would otherwise have to wait for or hold in the hand.
The device with its button, the carrier with the parcel, a token's clock, and the ways to all other pages. Everywhere else these
pages do not exist."""
