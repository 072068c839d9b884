"""The web API: ``/api/1/`` as clients of the public Software Heritage archive know it.

One module per resource declares its routes: name, methods, path and a handler, which is plain synchronous code that
parses what was asked, makes one call into ``swhkit.query`` and returns data. Only ``app``, ``incoming`` and
``server`` know aiohttp; handler and encoding run in one hop to a thread.
"""
