"""What the system costs, as ratios of two things measured alternately: `make bench`. See docs/performance.md."""
