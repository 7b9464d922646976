"""The team's page: how the work goes, as charts and the same figures as tables."""
