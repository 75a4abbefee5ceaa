"""Where are we in the loss landscape: paths, planes, barriers, curvature and alignment, as functions of trees."""
