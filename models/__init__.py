"""From picture to detections and tracks."""

import os

# From 1.29 on, ONNX Runtime's official Linux builds report to their maker, with a device id kept on disk
# (its docs/Privacy.md). Nothing leaves this node but events; the library asks once, when it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
