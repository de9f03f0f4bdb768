"""Puts the parts together: network thread -> read and decode -> detect -> join and judge -> write down -> publish."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import cv2

from inference_subscriber.anomaly.choosing import Choice, Wanted, choose, without_maps
from inference_subscriber.boards import Boards
from inference_subscriber.detecting import DetectStage
from inference_subscriber.dry_runs import DryRuns
from inference_subscriber.engines import model_reference, open_engine
from inference_subscriber.engines.features import FeatureEngine
from inference_subscriber.evidence import EvidenceSender
from inference_subscriber.free_run import FreeRun
from inference_subscriber.golden import GoldenBoard
from inference_subscriber.golden_boards import GoldenBoards, open_golden_boards
from inference_subscriber.inspecting import Inspector
from inference_subscriber.joiner import Joiner
from inference_subscriber.judge import Judge
from inference_subscriber.leading import Leader
from inference_subscriber.live_thresholds import LiveThresholds, check_classes
from inference_subscriber.metrics import FRAMES_DROPPED, FRAMES_WITHOUT_BOARD
from inference_subscriber.pictures import Picture, PictureInbox
from inference_subscriber.receiving import Cameras, FrameStage
from inference_subscriber.sender import VerdictSender
from inference_subscriber.settings import InferenceLine
from inference_subscriber.witness import Witness
from pcb_bus.contract.messages import Frame, Label, NodeStatus, Trigger, WireModel
from pcb_bus.contract.taxonomy import Taxonomy, load_taxonomy
from pcb_bus.contract.times import NS_PER_S, ms_to_ns
from pcb_bus.durable.outbox import Outbox
from pcb_bus.durable.resending import Pace, resend
from pcb_bus.errors import ConfigError
from pcb_bus.mqtt.session import QUEUED_AT_BROKER, Delivery, SessionOptions
from pcb_bus.runtime.line_time import tell_time
from pcb_bus.runtime.live import LiveSettings, LiveValue
from pcb_bus.runtime.service import Request, Service
from pcb_bus.seeing.codes import Serials
from pcb_bus.seeing.health import Flaw

log = logging.getLogger(__name__)

_SESSION = SessionOptions(durable=True)
_WAITING_FRAMES = 32
# What the broker holds for us, twice: after a reconnect it comes anew. One that is lost here is a board without verdict
# until the next connection.
_WAITING_TRIGGERS = 2 * (_SESSION.receive_maximum + QUEUED_AT_BROKER)
# A picture may wait for its store, and is a hundred times as large as a verdict.
_PICTURES = Pace(after_ns=10 * NS_PER_S, batch=2)
_PICTURE_OUTBOX = "picture outbox"
_USUAL_FRAMES = ((640, 480), (640, 640))
_FREE_RUN_S = 0.03
_APPOINT_S = 0.5
_STOP_S = 1.5  # the session takes up to 2.5 s more to say goodbye


class ProductParams(WireModel):
    """The product that runs from now on; None: nobody knows. Left out: nothing changes."""

    name: Label | None = None


class InferenceService:
    """One thread for each stage; the queues between them are bounded, and the newest frames win.

    Args:
        pace: at which verdicts that nobody has recorded go out again.
        anomalies: the good boards to compare with; where some were refused, the node is degraded.
        golden: the golden board of each side that has one; where a frame cannot be compared, the node is degraded.

    Raises:
        ConfigError: the outbox, credentials or TLS files cannot be used.
    """

    def __init__(
        self,
        settings: InferenceLine,
        engine: FeatureEngine,
        taxonomy: Taxonomy,
        pace: Pace | None = None,
        anomalies: Choice | None = None,
        golden: Mapping[str, GoldenBoard] | None = None,
    ) -> None:
        chosen = settings.inference
        self._service = service = Service("inference", chosen.node, settings, _SESSION)
        self._pictures = PictureInbox(_WAITING_FRAMES, self._give_way)
        tell = partial(service.event, "critical")
        self._outbox = Outbox(chosen.outbox, settings.outbox_bounds, "inference.outbox", tell)
        self._sender = VerdictSender(self._publish_verdict, self._outbox)
        resend(service, "verdict", self._outbox, pace)
        self._evidence = Outbox(
            chosen.evidence_outbox, settings.evidence_bounds, "inference.evidence_outbox", tell, prompt=False
        )
        resend(service, "evidence", self._evidence, pace or _PICTURES, _PICTURE_OUTBOX)
        self._boards = self._make_boards(settings, engine, taxonomy)
        thresholds, odd = settings.detect_options.thresholds, chosen.anomaly_threshold
        self._product: LiveValue[str | None] = LiveValue("product", Label, chosen.product)
        LiveSettings(service, self._run_product, self._product)
        self._run_product()
        service.command("product", self._on_product)
        self._thresholds = LiveThresholds(service, engine, self._boards, thresholds, odd)
        witness = None if chosen.doubtful_confidence is None else Witness(taxonomy.minor)
        inspector = self._make_inspector(engine, anomalies or Choice(), golden or {}, witness)
        topics = service.topics
        service.on(topics.trigger, Trigger, self._announce, thread="triggers", queue=_WAITING_TRIGGERS, manual_ack=True)
        self._leader = Leader(settings.sides)
        for side in settings.sides:
            status = topics.status(f"edge-{side}")
            service.on(status, NodeStatus, self._hear_edge, thread="leader", queue=16, qos=0, retained=True)
        service.every(_APPOINT_S, self._appoint, thread="leader")
        cameras = Cameras(chosen.sharpness, self._picture_trouble)
        serials = Serials(service, settings.serial_reader, chosen.serial_region)
        tell_time(service)
        free_run = FreeRun(settings.sides, chosen.presence, _count_without_board)
        frames = FrameStage(
            service.session, self._boards, self._pictures, settings.frame_limits, cameras, free_run, serials
        )
        service.on(topics.frames, None, frames.receive, thread="frames", queue=_WAITING_FRAMES, qos=0)
        service.every(_FREE_RUN_S, frames.look_at_the_clock, thread="frames")
        DryRuns(service, self._boards, self._pictures, settings.frame_limits, chosen.sharpness)
        detect = DetectStage(inspector, self._pictures, self._boards, chosen.max_batch)
        service.run("detect", detect.run)
        service.watch("detect", detect.turn)
        service.run("clock", self._boards.run_clock)
        service.run("receipts", self._sender.run)

    def start(self) -> None:
        self._service.start()

    def stop(self) -> None:
        """Finish the frames that wait. Boards that stay open keep their triggers unacknowledged, and come back."""
        deadline = time.monotonic() + _STOP_S
        service = self._service
        service.join("triggers", "frames", timeout=deadline - time.monotonic())
        self._pictures.close()
        service.join("detect", timeout=deadline - time.monotonic())
        self._boards.stop()
        self._sender.stop(deadline - time.monotonic() if service.session.connected else 0)
        service.stop(deadline - time.monotonic())
        self._outbox.close()
        self._evidence.close()

    def _announce(self, trigger: Trigger, delivery: Delivery) -> None:
        self._boards.announce(trigger, delivery.ack, delivery.received_at)

    def _run_product(self) -> None:
        self._boards.run_product(self._product())

    def _on_product(self, request: Request) -> dict[str, Any]:
        """Say or change what runs on the line. What a command says is forgotten by a restart."""
        params = request.read(ProductParams)
        if "name" in params.model_fields_set:
            self._product.command(params.name)
            self._run_product()
        return {"product": self._product(), "outlives_restart": not self._product.commanded}

    def _hear_edge(self, status: NodeStatus, _: Delivery) -> None:
        self._leader.hear(status)
        if self._leader.name is not None:  # the first one is appointed once all had the time to say how they are
            self._appoint()

    def _appoint(self) -> None:
        before = self._leader.name
        why = before and self._leader.why_not(before)
        leader = self._leader.choose()
        if leader != before:
            self._service.tell(leader=leader)
            instead = f", {before} no more: {why}" if before else ""
            self._service.event("warning" if before else "info", f"{leader} announces the boards{instead}")

    def _make_inspector(
        self, engine: FeatureEngine, anomalies: Choice, golden: Mapping[str, GoldenBoard], witness: Witness | None
    ) -> Inspector:
        for side, reason in anomalies.refused.items():
            self._trouble(side, reason)
        boards = GoldenBoards(golden, self._golden_trouble) if golden else None
        return Inspector(engine, anomalies.models, self._trouble, boards, witness)

    def _trouble(self, side: str, reason: str) -> None:
        self._service.health[f"anomaly {side}"] = f"no anomaly score on {side}: {reason}" if reason else ""

    def _golden_trouble(self, side: str, reason: str) -> None:
        fault = f"{side} not compared with its golden board: {reason}" if reason else ""
        self._service.health[f"golden {side}"] = fault

    def _clock_trouble(self, side: str, fault: str) -> None:
        self._service.health[f"clock {side}"] = fault

    def _picture_trouble(self, side: str, flaw: Flaw | None) -> None:
        fault = f"{side} cannot be inspected: {flaw}" if flaw else ""
        again = f"pictures of {side} are good again"
        self._service.fault(f"pictures {side}", fault, "warning", again, side=side, quality=flaw and flaw.kind)

    def _make_boards(self, settings: InferenceLine, engine: FeatureEngine, taxonomy: Taxonomy) -> Boards:
        joiner = Joiner(settings.sides, settings.join_options)
        deadline_ns = ms_to_ns(settings.inference.deadline_ms)
        odd = settings.inference.anomaly_threshold
        judge = Judge(settings.root, settings.sides, taxonomy, engine.model, deadline_ns, odd)
        service = self._service
        settle = partial(service.worker(_PICTURE_OUTBOX).do, self._evidence.sync)
        share, session, topics = settings.inference.evidence_share, service.session, service.topics
        evidence = EvidenceSender(session, topics, self._evidence, share, settle)
        return Boards(joiner, judge, self._sender, session, topics, evidence, self._clock_trouble)

    def _publish_verdict(self, payload: bytes, on_done: Callable[[bool], None]) -> bool:
        return self._service.session.publish(self._service.topics.verdict, payload, on_done=on_done)

    def _give_way(self, picture: Picture) -> None:
        _count_overload()
        self._boards.lose(picture.frame)


def build(settings: InferenceLine) -> InferenceService:
    """Load taxonomy and model, and put the service together.

    Raises:
        ConfigError: the taxonomy or the model cannot be used, or they do not fit together.
    """
    chosen = settings.inference
    taxonomy = load_taxonomy(settings.taxonomy)
    _check_sides(settings, "anomaly", chosen.anomaly)
    _check_sides(settings, "golden", chosen.golden)
    _check_sides(settings, "sharpness", chosen.sharpness)
    _check_sides(settings, "presence", chosen.presence)
    _check_sides(settings, "serial_region", chosen.serial_region)
    golden = open_golden_boards(chosen.golden, taxonomy)
    anomalies = _choose_anomalies(settings)
    doubtful = settings.inference.doubtful_confidence if anomalies.models else None
    options = replace(
        settings.detect_options,
        features=anomalies.strides,
        projections=anomalies.projections,
        doubtful=doubtful,
    )
    engine = open_engine(chosen.model, settings.placement, options)
    unknown = taxonomy.unknown_classes(engine.names)
    if unknown:
        raise ConfigError(
            f"inference.model: {chosen.model} has classes that {settings.taxonomy} lacks: {', '.join(unknown)}"
        )
    try:
        check_classes(engine.names, chosen.class_confidence)
    except ValueError as error:
        raise ConfigError(f"inference.class_confidence: {error}") from None
    engine.warm_up(_USUAL_FRAMES, chosen.max_batch)
    own, chosen_by = engine.calibration.thresholds, settings.detect_options.thresholds
    least = ", ".join(f"{name} from {chosen_by.of(name, own):.2f}" for name in engine.names)
    log.info("%s on %s: %s", engine.model.name, type(engine).__name__, least)
    # Frames are small, and the cores have an engine to run; only laying a board as its reference is worth a second.
    cv2.setNumThreads(2 if anomalies.models else 1)
    usable = without_maps(anomalies, engine.strides)
    return InferenceService(settings, engine, taxonomy, anomalies=usable, golden=golden)


def _check_sides(settings: InferenceLine, key: str, sides: Iterable[str]) -> None:
    if stray := sorted(set(sides) - set(settings.sides)):
        raise ConfigError(f"inference.{key}: {', '.join(stray)} is none of the sides {', '.join(settings.sides)}")


def _choose_anomalies(settings: InferenceLine) -> Choice:
    chosen = settings.inference
    if not chosen.anomaly:
        return Choice()
    return choose(chosen.anomaly, Wanted(chosen.product, model_reference(chosen.model), chosen.max_input))


def _count_overload() -> None:
    FRAMES_DROPPED.labels("overload").inc()


def _count_without_board(frame: Frame) -> None:
    FRAMES_WITHOUT_BOARD.labels(frame.side).inc()
