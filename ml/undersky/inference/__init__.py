"""A model looks at a scene: the state of its atmosphere, and which of its pixels show the ground."""
