"""What a stream is tested against and by: detectors, windows, references; all of it pure."""
