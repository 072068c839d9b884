"""swhkit: a self-hosted archive of software source code.

The public surface for authors of plugins is ``swhkit.plugin``; for authors of backends ``swhkit.storage``,
``swhkit.model`` and the modules they name. Everything else may change between minor versions.
"""

__version__ = "0.1.0"
