"""A service's life: settings, logs, metrics, status, subscriptions with queues, periodic tasks, signals."""
