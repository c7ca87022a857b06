"""Generated datasets, with which dpbench runs offline."""
