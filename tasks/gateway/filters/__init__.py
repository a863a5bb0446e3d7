"""One file is one output filter: what an answer shows less of than the model said."""
