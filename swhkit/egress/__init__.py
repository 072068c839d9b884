"""The one way out for child programs that speak HTTP, or can go through a proxy that does: hg, svn, git, rsync.

Such programs look names up themselves, follow redirects, and fetch what an origin names (externals, bundles). So they
are sent through a proxy of ours, in threads of this process, that judges every destination: the origin's own server is
connected at the addresses that were checked, any other is checked as what it is, an address that a server gave. What
is refused gets status 403, whose reason is a sentence that the program prints. The proxy listens on the loopback
interface and serves those alone who know its password. It keeps no thread and no socket.

What each program has to be told; a password does not belong into an argv list, which every user of a machine can read:

- **hg**: the environment ``http_proxy=proxy.url``, and ``--config http_proxy.always=yes`` (else it goes straight to
  addresses of the loopback interface);
- **svn, svnrdump**: ``--config-dir FOLDER`` with a private file ``servers`` that has, below ``[global]``,
  ``http-proxy-host``, ``http-proxy-port``, ``http-proxy-username`` and ``http-proxy-password``. For ``svn://`` there
  is no proxy: give the program ``pinned_url(target)``;
- **git**: the environment ``http_proxy=proxy.url``, ``https_proxy=proxy.url``, ``GIT_HTTP_PROXY_AUTHMETHOD=basic``;
- **rsync**: the environment ``RSYNC_PROXY=USER:PASSWORD@HOST:PORT`` (``proxy.url`` without its ``http://``).
"""

from swhkit.egress.proxy import Egress, egress

__all__ = ["Egress", "egress"]
