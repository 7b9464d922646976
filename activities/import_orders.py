"""What travels between `ImportTokens` and its activities. No seed, key or password is ever among it."""

from pydantic import BaseModel


class ImportOrder(BaseModel):
    """`import_id` is the workflow's run: started again, it is another import."""

    import_id: str
    workflow_id: str
    file: str
    format: str | None = None
    partial: bool = False
    imported_by: str


class ImportEnding(BaseModel):
    """An import that is over; `refused` is the sentence where the file as a whole was."""

    order: ImportOrder
    refused: str | None = None


class RefusedRow(BaseModel):
    """`line`: the row, or the key's place in the file. `serial`: None where what stands there might be a seed."""

    line: int
    serial: str | None
    reason: str


class ImportReport(BaseModel):
    """What came of it. `refused` is cut to the first hundred rows; `refused_in_all` counts them, and the database has all."""

    import_id: str
    format: str
    taken: int
    refused: list[RefusedRow]
    refused_in_all: int


class ImportProgress(BaseModel):
    """How many rows have been read so far, and how many of them can't be taken."""

    rows_read: int = 0
    refused: int = 0
