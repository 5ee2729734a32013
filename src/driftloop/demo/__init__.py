"""The demo: fifty routes out of New York in 2013, replayed through the whole loop."""
