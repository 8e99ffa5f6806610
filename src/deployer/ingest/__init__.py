"""What machines send without being asked: syslog, statsd and Graphite's plain text. Nothing is ever answered."""
