"""Which version this is."""

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """Of the installed distribution."""
    try:
        return version("deployer")
    except PackageNotFoundError:
        return "0"
