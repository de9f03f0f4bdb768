"""What an edge counts, beside what every node does."""

from prometheus_client import Counter, Histogram

PICTURES = Counter("boardline_edge_pictures", "Pictures read from the camera")
CAMERA_LOST = Counter("boardline_edge_camera_lost", "Times the camera died, froze or did not open", ["reason"])
REOPENED = Counter("boardline_edge_reopened", "Times the camera was opened again for its pictures", ["kind"])
TRIGGERS = Counter("boardline_edge_triggers", "Triggers by what became of them", ["outcome"])
PASSES = Counter("boardline_edge_passes", "Boards that this edge saw go by, in mode presence")
LOOK_SECONDS = Histogram(
    "boardline_edge_look_seconds",
    "Looking for boards in one picture, in mode presence",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1),
)
RESENDS = Counter("boardline_edge_resends", "Frames asked for again", ["outcome"])
NOT_ENCODED = Counter("boardline_edge_not_encoded", "Pictures that could not be made a JPEG")
ANSWER_SECONDS = Histogram(
    "boardline_edge_trigger_answer_seconds",
    "From the receipt of a trigger until its frame is handed to the network, waiting for the picture included",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
)
