"""Checks of drift: does what the model meets now still look like what it was judged on?"""
