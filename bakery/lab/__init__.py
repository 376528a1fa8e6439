"""Virtual bare metal on one machine: a network, nodes, their BMCs."""
