"""Our own client for the web: small, synchronous, and distrustful.

``fetch`` makes one request and yields the ``Answer``; ``download`` brings a file (http, https, ftp) to disk, byte for
byte. Connections go to the addresses that ``Network.check`` has judged; every redirect is judged again, as what a
server said. Answers that break off are errors, never shorter files. Servers that are busy are asked again, as they
wish. No cookies, no ``.netrc``, no proxies of the environment; no password is in any text.
"""

from swhkit.http.answer import Answer, Patience
from swhkit.http.client import REDIRECTS, fetch, judge_redirect
from swhkit.http.download import Downloaded, download

__all__ = ["REDIRECTS", "Answer", "Downloaded", "Patience", "download", "fetch", "judge_redirect"]
