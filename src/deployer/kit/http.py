"""Temporary."""

from twisted.web.server import Site

HardenedSite = Site
