"""Generated datasets: dpbench runs offline with them."""
