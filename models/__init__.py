"""From picture to detections and tracks."""
