"""Twisted tools without domain, shared by master and agent."""
