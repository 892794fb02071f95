"""What holds for every object that the chart renders, whatever its values."""
