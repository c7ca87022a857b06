"""What `dpbench doctor` looks at: packages, hardware, folders, and the files of datasets and weights."""
