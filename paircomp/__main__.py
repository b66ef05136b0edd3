"""``python -m paircomp``: the command line where no ``paircomp`` is on the path."""

from paircomp.cli import main

if __name__ == "__main__":
    main()
