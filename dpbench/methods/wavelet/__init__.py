"""The two-stage wavelet method: a private coarse stage over spectral tokens and a public detail stage."""

from dpbench.methods.wavelet.wavelet import Wavelet

__all__ = ["Wavelet"]
