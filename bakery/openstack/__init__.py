"""An OpenStack cloud: the connection to it, its Glance and its Ironic."""
