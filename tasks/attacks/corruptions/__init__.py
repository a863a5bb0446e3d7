"""Everyday damage to pictures: fifteen kinds, five severities, any size and number of channels.

Source of kinds and of most constants: Hendrycks and Dietterich 2019, arXiv 1903.12261, appendix B.
Lengths are shares of the picture's side, so that 8 pixels are damaged like 224. Frost is drawn
instead of pasted from photographs, and JPEG is its lossy step alone, channel by channel.
"""
