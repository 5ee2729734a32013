"""``python -m driftloop``: the same as the command ``driftloop``."""

from driftloop.cli.app import main

if __name__ == "__main__":
    main()
