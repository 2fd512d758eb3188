"""Messwerk: meters, their language and their central station, as real and exact software."""

from importlib.metadata import version as _version

__all__ = ["__version__"]
__version__ = _version("messwerk")
