"""Figures for papers and for looking twice: `edge-msk plot`. Only this folder imports matplotlib."""
