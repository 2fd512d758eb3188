"""The command `messwerk`: every subcommand is a thin door to one package."""
