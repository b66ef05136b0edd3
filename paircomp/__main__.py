"""``python -m paircomp``: the command line where no ``paircomp`` is on the path."""

from paircomp.cli import main

main()
