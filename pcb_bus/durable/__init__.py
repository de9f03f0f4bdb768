"""What must survive the process and the power: files that are synced, and the outbox that sends again."""
