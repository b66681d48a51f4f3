"""Samples to estimates: spectra, voice gate, network, decision; and what is known of a voice."""
