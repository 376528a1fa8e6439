"""devstack: its configuration for a build, what is wrong with one, and the way to a login."""
