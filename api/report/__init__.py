"""A clip's report: counts and levels over time, density on the ground. Plots only, no camera picture."""
