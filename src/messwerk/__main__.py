"""`python -m messwerk` is the command `messwerk`."""

from .cli import main

main()
