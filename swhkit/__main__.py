"""``python -m swhkit`` is the ``swhkit`` program."""

from swhkit.cli.main import main

if __name__ == "__main__":
    main()
