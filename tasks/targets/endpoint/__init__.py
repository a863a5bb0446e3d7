"""The trusted side of a model behind an address: what may be asked, how, and how much.

A sandbox child has no network. It asks this side, which holds the operator's rules and secrets.
Nothing here imports torch.
"""
