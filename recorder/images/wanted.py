"""Which pictures may come into the store: not one again that was removed from it."""

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from recorder.database import for_reading, write_error
from recorder.errors import DatabaseDown
from recorder.images.forms import Kind
from recorder.tables import DefectImage


class WantedImages:
    """What the rows say of a picture that comes. The row of a side's picture stands as it is once it is written."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, verdict_id: str, side: str, sha256: str, kind: Kind = "frame") -> bool:
        """False if it was removed, or if the row names another picture: no row would ever name its file.

        Raises:
            DatabaseDown: nobody knows.
        """
        query = select(DefectImage.sha256, DefectImage.removed_at).where(
            DefectImage.verdict_id == verdict_id, DefectImage.camera_id == side, DefectImage.kind == kind
        )
        try:
            with for_reading(self._engine).connect() as connection:
                row = connection.execute(query).first()
        except SQLAlchemyError as error:
            raise DatabaseDown(str(write_error(error))) from error
        return row is None or (row.removed_at is None and row.sha256 == sha256)
