"""This machine: errors, events, processes, the cage, KVM, interrupts, work folders."""
