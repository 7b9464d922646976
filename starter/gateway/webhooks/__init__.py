"""What carriers, the vendor and Surescripts tell us by HTTP: checked for its signature, put into our own words, and passed on
to the journey that waits for it, which alone decides what comes of it. One module per sender; `router.py` puts them together;
`kept.py` remembers what came, `sweep.py` tells journeys later what nobody waited for at first. See docs/webhooks.md."""
