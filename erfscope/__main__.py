"""`python -m erfscope`."""

from erfscope.cli.main import main

main()
