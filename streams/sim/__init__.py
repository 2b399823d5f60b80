"""A simulated camera: scene, people, picture, truth."""
