"""The one place that knows paho: a session that lives through every failure of the network, and requests on it."""
