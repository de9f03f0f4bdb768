"""The recorder: every verdict, actuation report, picture and event into the database, acknowledged after the commit."""
