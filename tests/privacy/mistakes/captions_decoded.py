"""Decodes captions to tokenize them in a loss.

Tokenize with `private.tokenize`, or embed the bytes: `table(batch.captions.long())`.
"""

from small_methods import Denoiser

from dpbench import METHODS, decode_captions

DATASET = "tiny:captions"
CAUGHT_BY = "guard"
REFUSED = "reads a value that depends on records"


@METHODS.register("mistake")
class Mistake(Denoiser):
    def loss(self, model, batch, generator):
        self.words = [caption.split() for caption in decode_captions(batch.captions)]  # the mistake
        return super().loss(model, batch, generator)
