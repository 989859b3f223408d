"""Frames to images, videos and curves. Every file appears complete or not at all."""

from predcnn.visual.comparison import comparison_frames, sequence_frames
from predcnn.visual.curves import plot_curves, plot_lines
from predcnn.visual.panels import Panel, frame_image, plot_panels
from predcnn.visual.strip import write_strip
from predcnn.visual.video import CODECS, WRITERS, write_gif, write_video
