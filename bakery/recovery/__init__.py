"""The encrypted archive of what a scrub took out: one tar, compressed, in an age file."""
