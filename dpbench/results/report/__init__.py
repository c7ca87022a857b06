"""The report: one self-contained page about a folder of results. The page is drawn by the scripts beside this file."""
