"""How an activity fails, in four kinds.

* Transient (the party is down, slow, overloaded; the database is away): any other exception. Tried again for as long
  as it takes; nobody's token is ended because a lookup failed.
* Refused for good (a business rule says no): `refused`. The sentence goes back to whoever asked.
* Needs a person (the party has answered, and will not do it): `needs_person`. The journey asks for attention and tries
  again later.
* Behind (the database has lost what the journey wrote before, as it was restored to an earlier moment): `behind`. The
  journey writes it again.
"""

from temporalio.exceptions import ApplicationError

REFUSED = "Refused"
NEEDS_PERSON = "NeedsPerson"
BEHIND = "RecordsBehind"


def refused(sentence: str) -> ApplicationError:
    """A business refusal, with one plain sentence."""
    return ApplicationError(sentence, type=REFUSED, non_retryable=True)


def needs_person(sentence: str) -> ApplicationError:
    """An outside party will not do what is asked until a person has mended something."""
    return ApplicationError(sentence, type=NEEDS_PERSON, non_retryable=True)


def behind() -> ApplicationError:
    """The database does not know what its own journey has written before."""
    return ApplicationError("the records are behind the journey", type=BEHIND, non_retryable=True)
