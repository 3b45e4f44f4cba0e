"""An optimization run and what it may spend: the same for every optimizer."""
