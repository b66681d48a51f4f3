"""From samples to estimates: spectra, voice gate, network, decision, and voice profiles."""
