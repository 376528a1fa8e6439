"""`python -m bakery` is the `bakery` command."""

from bakery.cli.main import main

if __name__ == "__main__":
    main()
