"""Virtual bare metal on one machine, and the sample images it boots."""
