"""Folders of classified images, and pictures to analyse networks with."""
