"""``python -m uniperceiver``, and so ``torchrun … -m uniperceiver``: the command line."""

from uniperceiver.cli import main

main()
