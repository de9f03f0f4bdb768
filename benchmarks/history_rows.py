"""A year of rows, made by the database itself: fast enough for millions."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, text

from records.tables import Base

LINE = "pcb"
CHUNK = 100_000
YEAR = timedelta(days=365)
_DIGITS = " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10))
_NUMBERS = (
    "INSERT INTO history_numbers SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d"
    f" FROM ({_DIGITS}) a, ({_DIGITS}) b, ({_DIGITS}) c, ({_DIGITS}) e, ({_DIGITS}) f"
)
# Nine boards of ten are normal; CRC32 spreads the others over the year. Ids have no order, as real ones have none.
_INSPECTIONS = """
INSERT INTO inspections (line, verdict_id, board_id, serial, product, recipe, camera_id, defect_type, category,
    confidence, inspection_time, local_date, captured_at, image_path, boxes, gpio_pin, gpio_duration_ms, status,
    judged_at, received_at, latency_ms, model, model_sha256)
SELECT IF(n % 4 = 3, 'pcb/line2', 'pcb'), LEFT(SHA2(n, 256), 32), CONCAT('board-', LPAD(n DIV 2, 9, '0')),
    IF(n % 4 = 0, CONCAT('SN-', n), NULL), ELT(1 + luck % 3, 'controller', 'display', 'power'), 'controller 3',
    IF(category = 0, 'both', ELT(1 + luck % 3, 'left', 'right', 'both')),
    ELT(1 + category, '정상', '납땜불량', '부품불량', '폐기', '미판정'),
    ELT(1 + category, 'normal', 'solder', 'component', 'scrap', 'unjudged'),
    0.5 + (luck % 50) / 100, taken_at + INTERVAL 9 HOUR, DATE(taken_at + INTERVAL 9 HOUR), taken_at,
    IF(category = 0, NULL, CONCAT('/images/', LEFT(SHA2(n, 256), 2), '/', n, '.jpg')),
    IF(category = 0, '[]', CONCAT('[{"camera_id": "left", "class": "short", "confidence": 0.9, "x1": ', luck % 600,
        ', "y1": 10, "x2": 630, "y2": 40}]')),
    23, 500, IF(category = 4, 'missing', 'ok'), IF(category = 4, NULL, taken_at + INTERVAL 60000 MICROSECOND),
    taken_at + INTERVAL 80000 MICROSECOND, 40 + luck % 40,
    IF(n < 1000, 'oldest', IF(n < :rows / 2, 'older', 'starter')), REPEAT('0', 64)
FROM (
    SELECT n, luck, taken_at, CASE WHEN luck % 1000 < 900 THEN 0 WHEN luck % 1000 < 940 THEN 1
        WHEN luck % 1000 < 980 THEN 2 WHEN luck % 1000 < 999 THEN 3 ELSE 4 END AS category
    FROM (
        SELECT :first + n AS n, CRC32(CONCAT('board', :first + n)) AS luck,
            TIMESTAMPADD(MICROSECOND, (:first + n) * :step_us, :begin) AS taken_at
        FROM history_numbers WHERE :first + n < :rows
    ) numbered
) boards ORDER BY n
"""
_OF_BAD_BOARDS = (
    """
INSERT INTO defects (inspection_id, line, inspection_time, camera_id, class_name, confidence, x1, y1, x2, y2)
SELECT id, line, inspection_time, 'left', IF(id % 5000 = 0, 'rare', CONCAT('class-', id % 6)), 0.9, id % 600,
    id % 440, id % 600 + 30, id % 440 + 30 FROM inspections
    WHERE category <> 'normal' ORDER BY id
""",
    """
INSERT INTO defect_images (line, verdict_id, board_id, camera_id, kind, state, sha256, path, width, height, size_bytes,
    received_at)
SELECT line, verdict_id, board_id, 'left', 'frame', 'stored', SHA2(verdict_id, 256), SUBSTR(image_path, 9), 640, 480,
    40000, received_at FROM inspections WHERE category <> 'normal' ORDER BY id
""",
)
# Made at once after the rows, which takes a tenth of the time.
_INDEXES = sorted(Base.metadata.tables["inspections"].indexes, key=lambda index: str(index.name))
_ALL_INDEXES = "ALTER TABLE inspections " + ", ".join(
    f"ADD INDEX {index.name} ({', '.join(index.columns.keys())})" for index in _INDEXES
)
_SINCE = "FROM inspections WHERE captured_at >= :since"
_LAST_DAY = (
    f"""
INSERT INTO triggers (line, verdict_id, board_id, source, triggered_at, received_at, open)
SELECT line, verdict_id, board_id, 'edge-left', captured_at, received_at, 0 {_SINCE}
""",
    f"""
INSERT INTO actuations (line, verdict_id, board_id, category, pin, outcome, fired_at, duration_ms, latency_ms,
    received_at)
SELECT line, verdict_id, board_id, category, gpio_pin, 'fired', judged_at, 500, 1.5, received_at {_SINCE}
    AND judged_at IS NOT NULL
""",
    f"""
INSERT INTO inspection_sides (inspection_id, line, camera_id, frame_id, captured_at, defect_type, category, confidence,
    inference_time_ms)
SELECT id, line, 'left', LEFT(SHA2(id, 256), 32), captured_at, defect_type, category, confidence, 14.2 {_SINCE}
""",
)
# Those of the last moments have no verdict yet.
_UNDER_WAY = "UPDATE triggers SET open = 1 WHERE triggered_at >= :since"
_HOUR = "CAST(DATE_FORMAT(inspection_time, '%Y-%m-%d %H:00:00') AS DATETIME)"
_STATISTICS = (
    f"""
INSERT INTO board_statistics
SELECT line, {_HOUR} AS hour, category, COUNT(*), 0, SUM(latency_ms), MAX(latency_ms) FROM inspections
    GROUP BY line, hour, category
""",
    f"""
INSERT INTO defect_statistics
SELECT line, {_HOUR} AS hour, camera_id, class_name, COUNT(*), COUNT(*) FROM defects
    GROUP BY line, hour, camera_id, class_name
""",
    f"""
INSERT INTO yield_statistics
SELECT line, {_HOUR} AS hour, product, model, camera_id, category, COUNT(*) FROM inspections
    GROUP BY line, hour, product, model, camera_id, category
""",
)
# What was not normal, and two of a hundred others; of each tenth a person has decided.
_REVIEWS = (
    """
INSERT INTO users (id, username, password_hash, role, active, created_at, must_change_password, failed_logins)
VALUES (1, 'kim', '', 'operator', 1, '2025-01-01', 0, 0)
""",
    """
INSERT INTO review_samples (line, verdict_id, inspection_time, category, reason, weight, queued_at, done_at)
SELECT line, verdict_id, inspection_time, category,
    CASE category WHEN 'normal' THEN 'random' WHEN 'unjudged' THEN 'doubted' ELSE 'rejected' END,
    IF(category = 'normal', 50, 1), received_at, IF(id % 10 = 0, received_at, NULL) FROM inspections
    WHERE category <> 'normal' OR CRC32(verdict_id) % 50 = 0
""",
    """
INSERT INTO reviews (line, verdict_id, decision, user_id, decided_at)
SELECT line, verdict_id, 'confirmed', 1, done_at FROM review_samples WHERE done_at IS NOT NULL ORDER BY done_at
""",
)


def fill(engine: Engine, rows: int, end: datetime, progress: Callable[[int], None]) -> None:
    """Inspections of two lines, evenly over the year before `end` (UTC), with boxes, pictures, reviews and statistics.

    The last day has all that belongs to them.
    """
    with engine.begin() as connection:
        _run(connection, "CREATE TABLE history_numbers (n INT PRIMARY KEY)")
        _run(connection, _NUMBERS)
        for index in _INDEXES:
            index.drop(connection)
    step_us = int(YEAR / timedelta(microseconds=1)) // rows
    for first in range(0, rows, CHUNK):
        with engine.begin() as connection:
            _run(connection, _INSPECTIONS, first=first, rows=rows, step_us=step_us, begin=end - YEAR)
        progress(min(first + CHUNK, rows))
    with engine.begin() as connection:
        _run(connection, _ALL_INDEXES)
        for statement in (*_OF_BAD_BOARDS, *_STATISTICS, *_REVIEWS):
            _run(connection, statement)
        for statement in _LAST_DAY:
            _run(connection, statement, since=end - timedelta(days=1))
        _run(connection, _UNDER_WAY, since=end - timedelta(minutes=1))
        _run(connection, "DROP TABLE history_numbers")
        _run(connection, f"ANALYZE TABLE {', '.join(Base.metadata.tables)}")


def _run(connection: Connection, statement: str, **values: object) -> None:
    connection.execute(text(statement), values)
