"""What this room counts and measures."""

from prometheus_client import Counter, Gauge, Histogram

_MS = (1, 2, 5, 10, 20, 30, 50, 75, 100, 200, 500, 1000, 5000)

FRAMES_DROPPED = Counter("boardline_inference_frames_dropped", "Frames dropped unseen", ["reason"])
FRAMES_WITHOUT_BOARD = Counter("boardline_inference_frames_without_board", "Frames of an empty belt", ["side"])
PICTURES_REFUSED = Counter("boardline_inference_pictures_refused", "Pictures that show nothing", ["kind"])
IMAGES_FAILED = Counter("boardline_inference_images_failed", "Images on which the network failed")
BOARDS_UNALIGNED = Counter("boardline_inference_boards_unaligned", "Boards not found in the frame", ["side"])
BATCH_SIZE = Histogram("boardline_inference_batch_size", "Frames in one run", buckets=(1, 2, 4, 8, 16, 32, 64))
INFERENCE_MS = Histogram("boardline_inference_ms", "One run of the engine, in ms", buckets=_MS)
DECODE_MS = Histogram("boardline_inference_decode_ms", "JPEG to pixels, in ms", buckets=_MS)
LATENCY_MS = Histogram("boardline_inference_latency_ms", "Capture to verdict, in ms", buckets=_MS)
OPEN_BOARDS = Gauge("boardline_inference_open_boards", "Boards under way")
UNSENT_VERDICTS = Gauge("boardline_inference_unsent_verdicts", "Verdicts that the broker has not accepted yet")
VERDICTS = Counter("boardline_inference_verdicts", "Verdicts published", ["category", "status"])
VERDICTS_GIVEN_UP = Counter("boardline_inference_verdicts_given_up", "Verdicts that gave way to newer ones unsent")
RESENDS = Counter("boardline_inference_resends", "Frames asked for once more", ["side"])
