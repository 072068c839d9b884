"""Crawling: forges are listed, what they list is visited, and requests to add a forge live their life."""

from swhkit.crawling.forges import next_due, wants_full
from swhkit.crawling.listing import crawl
from swhkit.crawling.results import Crawled
from swhkit.crawling.ticking import tick

__all__ = ["Crawled", "crawl", "next_due", "tick", "wants_full"]
