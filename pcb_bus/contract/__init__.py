"""What travels on the bus: topics, messages and their codec, the taxonomy, ids. Nothing here knows MQTT."""
