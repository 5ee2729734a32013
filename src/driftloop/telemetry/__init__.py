"""What a running part tells of itself: metrics, health and readiness over HTTP, and traces."""
