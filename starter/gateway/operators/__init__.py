"""Sign-in of operators, the fulfilment team, in a browser: with an API key of scope `operate`. `door.py` lets in whoever has
signed in; the codec endpoints and the team's own pages ask it."""
