"""Charts as SVG: lines over steps, and the confusion matrix."""
