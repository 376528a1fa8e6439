"""Machines as a file describes them, and what makes a cloud agree with it."""
