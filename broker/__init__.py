"""The broker room: Mosquitto with a login and an ACL for each role of the line.

`python -m broker run` is the broker of a real line; `Broker` runs one for the demo and for tests.
"""

from broker.errors import BrokerDied, MosquittoMissing, PortTaken
from broker.server import Broker

__all__ = ["Broker", "BrokerDied", "MosquittoMissing", "PortTaken"]
