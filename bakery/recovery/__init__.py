"""What a scrub took out of an image: one tar, compressed, in an age file (docs/recovery.md)."""
