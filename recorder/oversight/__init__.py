"""What the recorder looks after besides recording: nodes, disks, boards, gates, live values, the nightly count."""
