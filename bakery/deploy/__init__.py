"""The conductor's half of a deploy: what writes a node's disk and takes the node to its system."""
