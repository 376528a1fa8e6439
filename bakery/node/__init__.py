"""What runs on a node before its own system does: the agent, its ramdisk, a manager for IPA."""
