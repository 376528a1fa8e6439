"""What is installed in an image, as a software bill of materials: SPDX or CycloneDX."""
