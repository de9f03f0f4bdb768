"""The contract that every service shares: topics, messages, MQTT session, settings, defect taxonomy."""
