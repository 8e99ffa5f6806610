"""Numbers over time: which series there are (Redis), and what is in them (Whisper files or InfluxDB)."""
