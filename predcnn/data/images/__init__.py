"""Folders of labelled images, and images for the analysis of networks."""
