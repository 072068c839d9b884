"""The command line. One command a file; ``main`` finds them by name and imports only the one that runs."""
