"""What ends a deployment on the node's side."""


class AgentError(Exception):
    """Something is not as it must be; the text goes to the conductor and to the console."""
