"""What ``driftloop doctor`` looks at before anything runs: each finding says what to do."""
