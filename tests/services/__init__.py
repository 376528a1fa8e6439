"""Real OpenStack services for the tests, on loopback."""
