"""Real sample images, made from distribution packages."""
