"""A third host on the nodes' network, which knows every name and secret, and tries all it can."""
