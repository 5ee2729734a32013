"""Kafka: clients, topics, offset ranges, checked production, and a local broker to try it all."""
