"""Headers that answers have whatever they answer: those of every answer, and those for pages of other hosts."""

from __future__ import annotations

#: Strict, because nothing that is served was written by us.
COMMON = {
    "Server": "swhkit",
    "Vary": "Accept, origin, Cookie",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}
#: What pages of other hosts may see of an answer: they see the body and a few plain headers anyway.
SHARED = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Accept-Ranges, Allow, Content-Disposition, Content-Range, ETag, Link, Location, "
    "Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id, X-Total-Count",
}
#: What a browser may ask from a page of another host.
PREFLIGHT = {
    "Access-Control-Allow-Methods": "DELETE, GET, OPTIONS, PATCH, POST, PUT",
    "Access-Control-Allow-Headers": "accept, authorization, content-type, user-agent, x-csrftoken, x-requested-with",
    "Access-Control-Max-Age": "86400",
}
