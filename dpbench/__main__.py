"""`python -m dpbench` runs `dpbench`."""

from dpbench.cli import main

main()
