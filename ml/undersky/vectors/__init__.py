"""Objects as tables of boxes: GeoParquet, GeoJSON, and pictures of each."""
