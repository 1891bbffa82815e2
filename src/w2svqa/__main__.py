"""``python -m w2svqa``: the same as the command ``w2svqa``."""

from w2svqa.cli.app import main

if __name__ == "__main__":
    raise SystemExit(main())
