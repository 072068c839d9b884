"""What may be connected to: the policy for every URL that swhkit is given, judged before anything is started.

``Network.check`` takes a URL from a person, the API, a forge or a webhook and either refuses it with one sentence or
returns a ``Target`` whose parts are safe to put into an argv after ``--``. Where private addresses are not allowed
the host is resolved once and every address must be public; the addresses come back so that the very ones that were
checked are connected to (``curl_resolve`` for git). URLs are taken apart here by hand, strictly: parsers that
forgive disagree with each other about which host they mean.
"""

from swhkit.net.addresses import is_public
from swhkit.net.connect import dial, pinned_url, port_of
from swhkit.net.forms import UrlForm, url_form
from swhkit.net.policy import SCHEMES, Network, Target, When, curl_resolve, without_secret
from swhkit.net.urls import MAX_URL

__all__ = [
    "MAX_URL",
    "SCHEMES",
    "Network",
    "Target",
    "UrlForm",
    "When",
    "curl_resolve",
    "dial",
    "is_public",
    "pinned_url",
    "port_of",
    "url_form",
    "without_secret",
]
