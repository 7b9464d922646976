"""Sign-on of prescribers: the EHR hands the browser over with a launch token, and a session begins. `door.py` lets in whoever
has one; `demo.py` plays the EHR in the embedded stack."""
