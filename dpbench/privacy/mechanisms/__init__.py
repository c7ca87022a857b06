"""What a method may ask of private data, with the proof of each sensitivity. None imports torch."""
