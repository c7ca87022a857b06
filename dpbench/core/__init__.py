"""What every part of dpbench may know: plugin base classes, specs, the registry, errors. Importable without torch."""
